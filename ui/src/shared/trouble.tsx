// What is wrong, in words, and what happens next.
import { useEffect, useState } from 'preact/hooks';
import type { Trouble } from './api';
import { askForKey } from './key-prompt';

/** A line above what is shown; stays until the next answer. */
export function TroubleLine(props: { trouble: Trouble | undefined; retryAt: number | undefined; onRetry: () => void }) {
  const { trouble, retryAt, onRetry } = props;
  const seconds = useCountdown(retryAt);
  useEffect(() => {
    if (trouble?.kind === 'key') askForKey(trouble.message);
  }, [trouble]);
  if (!trouble) return null;
  return (
    <div class="trouble" role="alert">
      <p>
        <bdi>{trouble.message}</bdi>
        {seconds > 0 && <> Next try in {seconds} s.</>}
      </p>
      {trouble.kind === 'key' ? (
        <button onClick={() => askForKey(trouble.message)}>Enter the key</button>
      ) : (
        trouble.kind !== 'limit' && <button onClick={onRetry}>Try now</button>
      )}
    </div>
  );
}

function useCountdown(until: number | undefined): number {
  const left = () => (until === undefined ? 0 : Math.max(0, Math.ceil((until - Date.now()) / 1000)));
  const [seconds, setSeconds] = useState(left);
  useEffect(() => {
    setSeconds(left());
    if (until === undefined) return undefined;
    const timer = setInterval(() => setSeconds(left()), 250);
    return () => clearInterval(timer);
  }, [until]);
  return seconds;
}
