// What log-viewer is asked and what it answers, as this page uses it.
import type { Params } from '../shared/api';
import { rangeStart } from '../shared/ranges';

export const LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const;
export type Level = (typeof LEVELS)[number];

export interface Entry {
  id: number;
  timestamp: string;
  container: string;
  stream: 'stdout' | 'stderr';
  level: Level;
  message: string;
  /** Bytes of the message that were left out. */
  cut?: number;
}

export interface EntryPage {
  logs: Entry[];
  total: number;
  total_is_exact?: false;
  next: string | null;
  search_mode?: 'fts' | 'literal';
}

export interface Histogram {
  from: string | null;
  to: string | null;
  bucket_seconds: number | null;
  buckets: { time: string; counts: Partial<Record<Level, number>> }[];
}

/** Which entries are shown, whenever they were written. */
export interface Filter {
  container: string;
  level: string;
  search: string;
  contains: string;
}

/** What is shown first: as much as the service gives at once would take longer. */
const PAGE = 200;

/** The filter that an address describes. */
export function filterOf(query: URLSearchParams): Filter {
  const value = (name: string) => query.get(name) ?? '';
  return { container: value('container'), level: value('level'), search: value('search'), contains: value('contains') };
}

/** The stretch of time that an address describes. */
export function timesOf(query: URLSearchParams): { since: string; until: string } {
  return { since: query.get('since') || rangeStart(query.get('time') ?? ''), until: query.get('until') ?? '' };
}

/** What to ask for to show the newest entries that an address describes. */
export function listParams(query: URLSearchParams): Params {
  return { ...filterOf(query), ...timesOf(query), limit: PAGE };
}
