// What a page shows of an answer: the newest one, what went wrong meanwhile, and when it is tried again.
import { useCallback, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type Trouble, troubleFrom } from './api';
import { apiKey } from './key';

/** First wait before another try when the server is away; doubles up to the longest. */
const RETRY_SECONDS = 2;
const RETRY_SECONDS_MAX = 30;

export interface Answer<T> {
  /** The newest answer; the one before stays until the next is there. */
  value: T | undefined;
  /** What went wrong with the last try. */
  trouble: Trouble | undefined;
  /** When it is tried again by itself, in milliseconds since 1970. */
  retryAt: number | undefined;
  isLoading: boolean;
  reload: () => void;
}

/** The newest answer to a question, kept by whoever wants to show it at once when it is asked again. */
export interface Remembered<T> {
  newest?: { question: string; value: T };
}

/**
 * Loads whenever `deps` change, on `reload`, and every `refreshSeconds` while the page is seen. A new request cancels
 * the one before it, so an old answer never replaces a new one.
 */
export function useAnswer<T>(
  load: (signal: AbortSignal) => Promise<T>,
  deps: readonly unknown[],
  refreshSeconds = 0,
  remembered: Remembered<T> = {},
): Answer<T> {
  // Another key must not be shown what this one was.
  const question = JSON.stringify([apiKey(), ...deps]);
  const [state, setState] = useState<Omit<Answer<T>, 'reload'>>({
    value: remembered.newest?.question === question ? remembered.newest.value : undefined,
    trouble: undefined,
    retryAt: undefined,
    isLoading: true,
  });
  const [turn, setTurn] = useState(0);
  const failures = useRef(0);
  const newest = useRef(load);
  newest.current = load;
  const reload = useCallback(() => setTurn((turn) => turn + 1), []);

  // Before the first paint: the answer is what the viewer waits for.
  useLayoutEffect(() => {
    const cancel = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (seconds: number) => {
      timer = setTimeout(() => {
        if (document.visibilityState === 'visible') reload();
        else document.addEventListener('visibilitychange', reload, { once: true, signal: cancel.signal });
      }, seconds * 1000);
    };
    setState((state) => ({ ...state, isLoading: true }));
    newest.current(cancel.signal).then(
      (value) => {
        if (cancel.signal.aborted) return;
        failures.current = 0;
        remembered.newest = { question, value };
        setState({ value, trouble: undefined, retryAt: undefined, isLoading: false });
        if (refreshSeconds > 0) again(refreshSeconds);
      },
      (error: unknown) => {
        if (cancel.signal.aborted) return;
        const trouble = troubleFrom(error);
        const seconds = retrySeconds(trouble, failures.current++);
        const retryAt = seconds === undefined ? undefined : Date.now() + seconds * 1000;
        setState((state) => ({ ...state, trouble, retryAt, isLoading: false }));
        if (seconds !== undefined) again(seconds);
      },
    );
    return () => {
      cancel.abort();
      clearTimeout(timer);
    };
  }, [...deps, turn, refreshSeconds]);

  return { ...state, reload };
}

/** How long to wait before another try; nothing where it would only fail again. */
export function retrySeconds(trouble: Trouble, failures: number): number | undefined {
  switch (trouble.kind) {
    case 'limit':
      return trouble.seconds;
    case 'away':
      return Math.min(RETRY_SECONDS * 2 ** failures, RETRY_SECONDS_MAX);
    default:
      return undefined;
  }
}
