// What error-tracker answers, as this page uses it.

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
