// What nothing caught.
import { listen } from './install.js';

/** `seen` gets what was thrown, or the event's message where a page may not know more. */
export function captureExceptions(seen: (thrown: unknown, fallback: string) => void): void {
  listen<ErrorEvent>(globalThis, 'error', ({ error, message }) => {
    // A picture that is not there is an event too, without a message.
    if (error ?? message) seen(error ?? message, 'Error');
  });
  listen<PromiseRejectionEvent>(globalThis, 'unhandledrejection', ({ reason }) => {
    seen(reason, 'UnhandledRejection');
  });
}
