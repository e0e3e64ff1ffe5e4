// What a container wrote before and after an entry, further and further.
import { get } from '../shared/api';
import type { Entry } from './model';

/** As many as the service gives. */
const EACH_SIDE = 250;

/** Beyond which end of a list that has the newest first. */
export type Side = 'newer' | 'older';

/** An entry and its neighbours, the newest first. */
export async function neighbours(id: string, signal?: AbortSignal): Promise<Entry[]> {
  const { logs } = await get<{ logs: Entry[] }>(`api/logs/${id}/around`, { limit: EACH_SIDE }, signal);
  return logs;
}

/** The neighbours on one side only. */
export async function neighboursBeyond(id: string, side: Side): Promise<Entry[]> {
  const logs = await neighbours(id);
  const at = logs.findIndex((entry) => String(entry.id) === id);
  return side === 'newer' ? logs.slice(0, at) : logs.slice(at + 1);
}

/** Where to go on beyond these entries; none where there are none. */
export function endOf(logs: readonly Entry[], side: Side): string | null {
  const last = side === 'newer' ? logs[0] : logs[logs.length - 1];
  return last ? String(last.id) : null;
}
