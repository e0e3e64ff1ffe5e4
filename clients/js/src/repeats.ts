// The same error again and again is sent once a minute.
import type { Description } from './report.js';

const QUIET_MS = 60_000;
/** More kinds of errors at a time are more than a page should have; the oldest is forgotten. */
const KNOWN_MAX = 50;

/** Whether an error is one of the last minute. */
export function repeats(): (what: Description, now: number) => boolean {
  const known = new Map<string, number>();
  return ({ type, message, stack }, now) => {
    // V8 writes the message above the first frame, and its lines may look like anything.
    const key = [type, message, stack.replace(message, '').match(/.*:\d.*/)].join('\n');
    const last = known.get(key);
    if (last && now - last < QUIET_MS) return true;
    known.delete(key);
    known.set(key, now);
    for (const [oldest] of known) if (known.size > KNOWN_MAX) known.delete(oldest);
    return false;
  };
}
