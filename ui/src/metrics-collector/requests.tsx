// Requests: how many, how many failed, how long they took.
import type { ComponentChild } from 'preact';
import { useMemo } from 'preact/hooks';
import { useAnswer } from '../shared/answer';
import { Link } from '../shared/shell';
import { TroubleLine } from '../shared/trouble';
import { type Dashboard, type Metric, type Requests, percentiles } from './answers';
import { Chart } from './chart';
import { type Format, formatOf, percent, perSecond, seconds } from './figures';
import { type Lines, figuresOf, linesOf } from './lines';
import { type Changes, type View, coarsely, linkTo, stretchParams, zooming } from './view';

const RATE_LOOKS = [{ colour: '--series-0', words: 'all' }, { colour: '--bad', words: 'status 5xx' }];
const ERROR_LOOKS = [{ colour: '--bad', words: 'failed' }];
export const PERCENTILE_LOOKS = [{ colour: '--series-0' }, { colour: '--series-1' }, { colour: '--series-3' }];

interface PartProps {
  view: View;
  change: (changes: Changes) => void;
  value: Dashboard;
  metrics: readonly Metric[];
}

export function RequestsPart({ view, change, value, metrics }: PartProps) {
  const { requests } = value;
  const zoom = zooming(change);
  const charts = useMemo(() => requests && chartsOf(value, requests), [value]);
  const histograms = [...new Set(metrics.filter(({ type }) => type === 'histogram').map(({ name }) => name))];
  const choice = <HistogramChoice value={view.latency} names={histograms} onChange={(latency) => change({ latency })} />;
  return (
    <section aria-labelledby="requests">
      <h2 id="requests">Requests</h2>
      <div class="charts">
        {charts ? (
          <>
            <Chart
              title="Requests per second"
              aside={<Link to={linkTo({ metric: 'http_requests_total', by: 'endpoint' })}>by endpoint</Link>}
              data={charts.rate}
              looks={RATE_LOOKS}
              format={perSecond}
              {...zoom}
            />
            <Chart title="Error rate" data={charts.errors} looks={ERROR_LOOKS} format={percent} {...zoom} />
          </>
        ) : (
          <NoRequests />
        )}
        {view.latency ? (
          <Percentiles view={view} change={change} choice={choice} />
        ) : (
          charts && (
            <Chart title="Latency" aside={choice} data={charts.latency} looks={PERCENTILE_LOOKS} format={seconds} {...zoom} />
          )
        )}
        {!charts && !view.latency && histograms.length > 0 && <p class="card note">Percentiles of {choice}</p>}
      </div>
    </section>
  );
}

function chartsOf(span: Dashboard, requests: Requests): { rate: Lines; errors: Lines; latency: Lines } {
  const of = { ...span, resolution: requests.resolution };
  const rows = requests.timeseries;
  const failed = (row: (typeof rows)[number]) => (row.count ? (row.per_second * row.errors) / row.count : 0);
  return {
    rate: figuresOf(of, rows, { all: (row) => row.per_second, failed }, true),
    errors: figuresOf(of, rows, { failed: (row) => row.error_rate }),
    latency: figuresOf(of, rows, { p50: (row) => row.p50, p95: (row) => row.p95, p99: (row) => row.p99 }),
  };
}

/** Percentiles of the histogram that was chosen instead of the requests'. */
function Percentiles(props: { view: View; change: (changes: Changes) => void; choice: ComponentChild }) {
  const { view, change, choice } = props;
  const params = { name: view.latency, type: 'histogram', project: view.project, ...stretchParams(view), ...coarsely(view) };
  const refresh = view.zoom ? 0 : view.refresh;
  const { value, trouble, retryAt, reload } = useAnswer((signal) => percentiles(params, signal), [JSON.stringify(params)], refresh);
  const data = useMemo(() => value && percentileLines(value), [value]);
  const format: Format = formatOf(view.latency, 'histogram', 'p50');
  return (
    <>
      <TroubleLine trouble={trouble} retryAt={retryAt} onRetry={reload} />
      {data && <Chart title={view.latency} aside={choice} data={data} looks={PERCENTILE_LOOKS} format={format} {...zooming(change)} />}
    </>
  );
}

/** The answers to p50, p95 and p99 in one chart. */
export function percentileLines(answers: Awaited<ReturnType<typeof percentiles>>): Lines | undefined {
  const all = answers.map(([name, answer]) => ({ name, of: linesOf(answer, false) }));
  const first = all[0]?.of;
  if (!first) return undefined;
  const lines = all.map(({ name, of }) => ({ name, values: of.lines[0]?.values ?? of.times.map(() => null) }));
  return { ...first, lines };
}

function HistogramChoice(props: { value: string; names: readonly string[]; onChange: (name: string) => void }) {
  const { value, names, onChange } = props;
  const others = names.filter((name) => name !== 'http_request_duration_seconds');
  if (others.length === 0 && !value) return null;
  return (
    <select class="small" aria-label="Histogram" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      <option value="">of requests</option>
      {(others.includes(value) || !value ? others : [value, ...others]).map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

function NoRequests() {
  return (
    <p class="card note faint">
      No requests in this time. They are counted from <code>http_requests_total</code> and{' '}
      <code>http_request_duration_seconds</code>, which the Python SDK sends from FastAPI.
    </p>
  );
}
