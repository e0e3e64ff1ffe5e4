// What is below the window's edge is drawn a frame later than what is in sight.
import { useEffect, useState } from 'preact/hooks';

/** False until the first frame that has the answer was drawn, then true; with `isAtOnce` from the beginning. */
export function useRest(hasAnswer = true, isAtOnce = false): boolean {
  const [isRest, setRest] = useState(isAtOnce);
  useEffect(() => {
    if (!hasAnswer || isRest) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const frame = requestAnimationFrame(() => {
      timer = setTimeout(() => setRest(true));
    });
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [hasAnswer, isRest]);
  return isRest;
}
