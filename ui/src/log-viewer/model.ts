// What log-viewer answers, as this page uses it.

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

/** The parameters of lists, tails, exports and histograms, as the page's address has them. */
export interface Filter {
  container: string;
  level: string;
  search: string;
  contains: string;
  since: string;
  until: string;
}
