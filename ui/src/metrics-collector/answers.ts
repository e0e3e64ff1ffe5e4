// What the service answers, and where it is asked.
import { type Params, get } from '../shared/api';

export type Type = 'counter' | 'histogram' | 'gauge';

export interface Metric {
  name: string;
  type: Type;
}

export interface Figures {
  count: number;
  per_second: number;
  errors: number;
  error_rate: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface Requests extends Figures {
  resolution: Resolution;
  timeseries: (Figures & { bucket: string })[];
}

export type Resolution = 'minute' | 'hour';
export type Rating = 'good' | 'needs-improvement' | 'poor' | 'unknown';
export type VitalName = 'lcp' | 'inp' | 'cls' | 'fcp' | 'ttfb';
type PerPage = { [P75 in `${VitalName}_p75`]: number | null } & { [R in `${VitalName}_rating`]: Rating };

export interface Vitals {
  resolution: Resolution;
  summary: Record<VitalName, { p75: number | null; count: number; rating: Rating }>;
  timeseries: ({ bucket: string } & { [P75 in `${VitalName}_p75`]: number | null })[];
  by_page: (PerPage & { page: string; page_views: number })[];
}

export interface Dashboard {
  from: string;
  to: string;
  summary: { total_datapoints: number; distinct_metrics: number };
  top_metrics: (Metric & { count: number; total: number })[];
  requests?: Requests;
  web_vitals?: Vitals;
}

export interface Row {
  bucket: string;
  type: Type;
  labels: Record<string, unknown> | null;
  value?: number | null;
}

export interface MetricAnswer {
  resolution: Resolution;
  from: string;
  to: string;
  data: Row[];
}

export interface Labels {
  series: number;
  labels: { name: string; values: string[]; has_more: boolean }[];
}

export const PERCENTILES = ['p50', 'p95', 'p99'] as const;

export const dashboard = (params: Params, signal: AbortSignal) => get<Dashboard>('api/dashboard', params, signal);
export const metric = (params: Params, signal: AbortSignal) => get<MetricAnswer>('api/metrics', params, signal);
export const labelsOf = (params: Params, signal: AbortSignal) => get<Labels>('api/metrics/labels', params, signal);

/** p50, p95 and p99 of a histogram, all of its series as one. */
export async function percentiles(params: Params, signal: AbortSignal): Promise<[string, MetricAnswer][]> {
  const one = async (agg: string): Promise<[string, MetricAnswer]> => [agg, await metric({ ...params, agg }, signal)];
  return Promise.all(PERCENTILES.map(one));
}

/** All metrics, and all projects. */
export async function lists(project: string, signal: AbortSignal): Promise<{ metrics: Metric[]; projects: string[] }> {
  const [names, projects] = await Promise.all([
    get<{ metrics: Metric[] }>('api/metrics/names', { project }, signal),
    get<{ projects: string[] }>('api/projects', {}, signal),
  ]);
  return { metrics: names.metrics, projects: projects.projects };
}

export const STEPS: Record<Resolution, number> = { minute: 60, hour: 3_600 };
