// What error-tracker is asked and what it answers, as this page uses it.
import type { Params } from '../shared/api';
import { rangeStart } from '../shared/ranges';

/** Errors on a page of the list. */
export const PAGE = 50;

/** The error that a path names; none where it is the list's. */
export function errorOf(path: string): string | undefined {
  return /^errors\/(\d+)$/.exec(path)?.[1];
}

/** What to ask for to show the list that an address describes. */
export function listParams(query: URLSearchParams): Params {
  const names = ['project', 'environment', 'source', 'session_id', 'resolved', 'search', 'sort'];
  const filter = Object.fromEntries(names.map((name) => [name, query.get(name) ?? '']));
  return { ...filter, limit: PAGE, offset: offsetOf(query), since: rangeStart(query.get('time') ?? '') };
}

/** How many errors come before the page that is shown. */
export function offsetOf(query: URLSearchParams): number {
  return Math.max(0, Number(query.get('offset')) || 0);
}

export interface Group {
  id: number;
  fingerprint: string;
  project: string;
  exception_type: string;
  message: string;
  count: number;
  first_seen: string;
  last_seen: string;
  resolved: boolean;
  source: string;
  environments: string[];
  /** Reports of each of the last 24 hours, the oldest first. */
  activity: number[];
}

export interface GroupList {
  errors: Group[];
  total: number;
  limit: number;
  offset: number;
}

export interface Occurrence {
  id: number;
  timestamp: string;
  environment: string;
  request_url: string | null;
  request_method: string | null;
  request_headers: unknown;
  user_id: string | null;
  extra: unknown;
  traceback: string;
}

export interface Detail extends Group {
  traceback: string;
  resolved_at: string | null;
  occurrences: Occurrence[];
}
