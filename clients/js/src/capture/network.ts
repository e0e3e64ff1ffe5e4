// Requests of the page: how many, how long, and which fail. What is sent, returned and thrown stays the same.
import { safely } from '../safely.js';
import { replace } from './install.js';

/** `status` is 0 when no answer came. The time is that until the head of the answer, or with XMLHttpRequest from `open` to the end of it. */
type Seen = (method: string, url: URL, status: number, milliseconds: number, here: Error) => void;

/** `seen` gets each request that has an address of its own and that nobody ended, and an error of the place where it was made. */
export function captureNetwork(seen: Seen): void {
  /** A request begins; what to call with its status, or why there is none. */
  const begin = (here: Error, method: string, address: RequestInfo | URL, signal?: AbortSignal | null) => {
    const url = new URL(address as string, location.href);
    const start = performance.now();
    return safely((status: number, error?: Error) => {
      // Somebody ended it, with a reason of their own or without: that is no failure. That its time was over is one.
      if (signal?.aborted && error?.name !== 'TimeoutError') return;
      if (url.host) seen(method.toUpperCase(), url, status, performance.now() - start, here);
    });
  };

  const beginFetch = safely((here: Error, input: RequestInfo | URL, init?: RequestInit) => {
    // Of these only a Request has any.
    const { method = 'GET', url = input, signal } = input as Partial<Request>;
    return begin(here, init?.method ?? method, url, init?.signal ?? signal);
  });
  replace(globalThis, 'fetch', (original) => (...given) => {
    const end = beginFetch(new Error(), ...given);
    return original.apply(globalThis, given).then(
      (answer) => {
        end?.(answer.status);
        return answer;
      },
      (error: Error) => {
        end?.(0, error);
        throw error;
      },
    );
  });

  if (typeof XMLHttpRequest === 'undefined') return;
  const ends = new WeakMap<XMLHttpRequest, ReturnType<typeof begin> | undefined>();
  const open = safely((request: XMLHttpRequest, here: Error, method: string, address: string | URL) => {
    // Once for each object, which may be used again and again.
    if (!ends.has(request)) {
      request.addEventListener('abort', () => ends.set(request, undefined));
      request.addEventListener('loadend', () => ends.get(request)?.(request.status));
    }
    ends.set(request, begin(here, method, address));
  });
  replace(XMLHttpRequest.prototype, 'open', (original) =>
    function (this: XMLHttpRequest, ...given: [string, string | URL]) {
      open(this, new Error(), ...given);
      return original.apply(this, given as unknown as Parameters<typeof original>);
    },
  );
}
