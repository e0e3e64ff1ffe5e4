// Requests of the page: how many, how long, and which fail. What is sent, returned and thrown stays the same.
import { safely } from '../safely';
import { replace } from './install';

export interface Exchange {
  method: string;
  url: URL;
  /** 0 when no answer came. */
  status: number;
  /** Until the head of the answer, or with XMLHttpRequest all of it. */
  milliseconds: number;
}

export function captureNetwork(seen: (exchange: Exchange) => void): void {
  /** A request begins; what to call with its status. */
  const begin = safely((method: string | undefined, address: string | URL) => {
    const url = new URL(address, globalThis.location.href);
    const start = performance.now();
    return safely((status: number) => {
      seen({ method: (method ?? 'GET').toUpperCase(), url, status, milliseconds: performance.now() - start });
    });
  });

  replace(globalThis, 'fetch', (original) => (...given) => {
    const [input, init] = given;
    const { method, url } = input instanceof Request ? input : { method: 'GET', url: input };
    const end = begin(init?.method ?? method, url);
    return original.apply(globalThis, given).then(
      (answer) => {
        end?.(answer.status);
        return answer;
      },
      (error: unknown) => {
        // Somebody ended it: that is no failure.
        if ((error as Error | undefined)?.name !== 'AbortError') end?.(0);
        throw error;
      },
    );
  });

  if (typeof XMLHttpRequest === 'undefined') return;
  const opened = new WeakMap<XMLHttpRequest, [method: string, address: string | URL]>();
  replace(XMLHttpRequest.prototype, 'open', (original) =>
    function (this: XMLHttpRequest, ...given: [string, string | URL]) {
      opened.set(this, given);
      return original.apply(this, given as unknown as Parameters<typeof original>);
    },
  );
  replace(XMLHttpRequest.prototype, 'send', (original) =>
    function (this: XMLHttpRequest, ...given) {
      const known = opened.get(this);
      const end = known && begin(...known);
      this.addEventListener('abort', () => opened.delete(this));
      this.addEventListener('loadend', () => opened.get(this) === known && end?.(this.status), { once: true });
      return original.apply(this, given);
    },
  );
}
