// What is looked at, as the URL has it: `/?project=&period=&refresh=&metric=&latency=`, as in the original, and more.
import { rangeSeconds } from '../shared/ranges';

export const PERIODS = ['15m', '1h', '6h', '24h', '7d', '30d'] as const;
const PERIOD_DEFAULT = '24h';

/** Seconds between two refreshes; 0 for none. */
export const REFRESHES = [10, 30, 60, 300] as const;
const REFRESH_DEFAULT = 30;
/** A link must not make a page that asks all the time. */
const REFRESH_MIN = 5;

/** Seconds since 1970. */
export interface Stretch {
  from: number;
  to: number;
}

export interface View {
  isExplorer: boolean;
  project: string;
  period: string;
  /** What was zoomed to; nothing while it follows the time. */
  zoom: Stretch | undefined;
  /** Seconds; a zoomed view stays as it is. */
  refresh: number;
  /** The histogram whose percentiles the dashboard shows instead of the requests'. */
  latency: string;
  vital: string;
  metric: string;
  type: string;
  agg: string;
  groupBy: string[];
  labels: [string, string][];
}

export type Changes = Record<string, string | undefined>;

/** The view that an address describes. */
export function viewOf(query: URLSearchParams): View {
  const text = (name: string) => query.get(name) ?? '';
  const [from, to] = [seconds(text('from')), seconds(text('to'))];
  return {
    isExplorer: text('metric') !== '' || text('view') === 'explorer',
    project: text('project'),
    period: text('period') || PERIOD_DEFAULT,
    zoom: from !== undefined && to !== undefined && from < to ? { from, to } : undefined,
    refresh: refreshOf(text('refresh')),
    latency: text('latency'),
    vital: text('vital'),
    metric: text('metric'),
    type: text('type'),
    agg: text('agg'),
    groupBy: text('by').split(',').filter(Boolean),
    labels: readLabels(text('labels')),
  };
}

/** The parameters of the API for the time that is looked at. */
export function stretchParams({ zoom, period }: View): Record<string, string | number> {
  return zoom ? { from: zoom.from, to: zoom.to } : { period };
}

/** How long that is; what cannot be read is left to the service to refuse. */
export function stretchSeconds({ zoom, period }: View): number {
  return zoom ? zoom.to - zoom.from : (rangeSeconds(period) ?? 0);
}

/** Longer stretches are drawn by the hour on the dashboard: as many points as a screen has room for. */
const MINUTES_UP_TO = 6 * 3_600;

/** The parameter that asks for hours where minutes would be too many. */
export function coarsely(view: View): Record<string, string> {
  return stretchSeconds(view) > MINUTES_UP_TO ? { resolution: 'hour' } : {};
}

/** What to ask for to show the dashboard. */
export function dashboardParams(view: View): Record<string, string | number> {
  return { ...stretchParams(view), project: view.project, ...coarsely(view) };
}

/** What to change in the URL to look at this stretch. */
export function zoomTo(stretch: Stretch | undefined): Changes {
  return { from: stretch && String(stretch.from), to: stretch && String(stretch.to) };
}

/** How charts change the time that is looked at. */
export function zooming(change: (changes: Changes) => void) {
  return {
    onZoom: (stretch: Stretch) => change(zoomTo(stretch)),
    onZoomOut: () => change(zoomTo(undefined)),
  };
}

/** A link to another page of the same project and time. */
export function linkTo(changes: Changes): string {
  const query = new URLSearchParams(location.search);
  for (const own of ['metric', 'type', 'agg', 'by', 'labels', 'view']) query.delete(own);
  for (const [name, value] of Object.entries(changes)) if (value) query.set(name, value);
  const text = query.toString();
  return text ? `./?${text}` : './';
}

/** `a:b,c:d`, where `\` takes the meaning of what follows: as the API has it. */
export function readLabels(text: string): [string, string][] {
  const labels: [string, string][] = [];
  let parts = [''];
  const end = () => {
    if (parts[0] && parts.length === 2) labels.push([parts[0], parts[1] ?? '']);
    parts = [''];
  };
  for (const [token] of text.matchAll(/\\.|[^\\]/gsu)) {
    if (token === ',') end();
    else if (token === ':' && parts.length === 1) parts.push('');
    else parts[parts.length - 1] += token.length > 1 && token.startsWith('\\') ? token.slice(1) : token;
  }
  end();
  return labels;
}

export function writeLabels(labels: [string, string][]): string {
  const escape = (text: string) => text.replace(/[\\,:]/g, '\\$&');
  return labels.map(([name, value]) => `${escape(name)}:${escape(value)}`).join(',');
}

function refreshOf(text: string): number {
  const number = Number.parseInt(text, 10);
  if (number === 0) return 0;
  return number > 0 ? Math.max(REFRESH_MIN, number) : REFRESH_DEFAULT;
}

function seconds(text: string): number | undefined {
  return /^\d{1,11}$/.test(text) ? Number(text) : undefined;
}
