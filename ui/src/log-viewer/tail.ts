// The live tail: a stream that is taken up again where it broke.
import { type Trouble, stream, troubleFrom } from '../shared/api';
import { retrySeconds } from '../shared/answer';
import { eventsOf } from './events';
import type { Entry, Filter } from './model';

export type TailState = { kind: 'connecting' } | { kind: 'live' } | { kind: 'waiting'; trouble: Trouble; retryAt: number } | { kind: 'refused'; trouble: Trouble };

/** Follows what arrives after entry `after`, until `signal`. Entries come in order, the oldest first. */
export async function follow(
  filter: Filter,
  after: number | undefined,
  signal: AbortSignal,
  onEntries: (entries: Entry[]) => void,
  onState: (state: TailState) => void,
): Promise<void> {
  let last = after;
  let failures = 0;
  while (!signal.aborted) {
    try {
      onState({ kind: 'connecting' });
      const headers: Record<string, string> = last === undefined ? {} : { 'Last-Event-ID': String(last) };
      const response = await stream('api/logs/tail', { ...filter }, signal, headers);
      if (!response.body) return;
      onState({ kind: 'live' });
      failures = 0;
      for await (const events of eventsOf(response.body)) {
        const entries = events.filter(({ name }) => name === 'log').map(({ data }) => JSON.parse(data) as Entry);
        if (entries.length > 0) {
          last = entries.at(-1)?.id ?? last;
          onEntries(entries);
        }
      }
      // It ended in order, such as after half an hour: go on at once.
    } catch (error) {
      if (signal.aborted) return;
      const trouble = troubleFrom(error);
      // A stream that breaks says only that: the server is away, or a proxy was tired.
      const seconds = error instanceof TypeError ? retrySeconds({ kind: 'away', message: '' }, failures) : retrySeconds(trouble, failures);
      if (seconds === undefined) {
        onState({ kind: 'refused', trouble });
        return;
      }
      failures += 1;
      const shown: Trouble = error instanceof TypeError ? { kind: 'away', message: 'The live tail broke.' } : trouble;
      onState({ kind: 'waiting', trouble: shown, retryAt: Date.now() + seconds * 1000 });
      await sleep(seconds * 1000, signal);
    }
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
