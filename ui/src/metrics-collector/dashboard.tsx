// The dashboard: requests, Web Vitals, and which metrics are the busiest.
import { type Answer, useAnswer } from '../shared/answer';
import { useRest } from '../shared/rest';
import { Link } from '../shared/shell';
import { type Dashboard as DashboardAnswer, type Metric, dashboard } from './answers';
import { NothingInPeriod } from './empty';
import { count, formatOf, number, percent, perSecond, seconds } from './figures';
import { RequestsPart } from './requests';
import { type Changes, type View, dashboardParams, linkTo } from './view';
import { VitalsPart } from './vitals';

/** Asks for the dashboard, again and again while it follows the time. */
export function useDashboard(view: View, isShown: boolean): Answer<DashboardAnswer | undefined> {
  const params = dashboardParams(view);
  const load = async (signal: AbortSignal) => (isShown ? dashboard(params, signal) : undefined);
  return useAnswer(load, [isShown, JSON.stringify(params)], isShown && !view.zoom ? view.refresh : 0);
}

export function Dashboard(props: {
  view: View;
  change: (changes: Changes) => void;
  value: DashboardAnswer;
  metrics: readonly Metric[];
}) {
  const { view, change, value, metrics } = props;
  const isRest = useRest();
  if (value.summary.total_datapoints === 0) return <NothingInPeriod view={view} change={change} />;
  return (
    <>
      <Tiles value={value} />
      <RequestsPart view={view} change={change} value={value} metrics={metrics} />
      {isRest && value.web_vitals && <VitalsPart view={view} change={change} vitals={value.web_vitals} span={value} />}
      {isRest && <Busiest value={value} />}
    </>
  );
}

function Tiles({ value: { requests, summary } }: { value: DashboardAnswer }) {
  return (
    <dl class="tiles">
      {requests && (
        <>
          <Tile name="Requests" figure={perSecond(requests.per_second)} detail={`${count(requests.count)} in all`} />
          <Tile
            name="Error rate"
            figure={percent(requests.error_rate)}
            detail={`${count(requests.errors)} with status 5xx`}
            isBad={requests.errors > 0}
          />
          <Tile name="Latency, median" figure={seconds(requests.p50)} detail={`p95 ${seconds(requests.p95)} · p99 ${seconds(requests.p99)}`} />
        </>
      )}
      <Tile name="Values" figure={number(summary.total_datapoints)} detail={`of ${count(summary.distinct_metrics)} metrics`} />
    </dl>
  );
}

function Tile(props: { name: string; figure: string; detail: string; isBad?: boolean }) {
  return (
    <div class="card tile">
      <dt>{props.name}</dt>
      <dd class={props.isBad ? 'figure bad' : 'figure'}>{props.figure}</dd>
      <dd class="faint">{props.detail}</dd>
    </div>
  );
}

/** The metrics with the most values; each opens in the explorer. */
function Busiest({ value: { top_metrics: top } }: { value: DashboardAnswer }) {
  return (
    <section aria-labelledby="busiest">
      <h2 id="busiest">Busiest metrics</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>Metric</th>
              <th>Type</th>
              <th class="number">Values</th>
              <th class="number">Sum</th>
              <th class="number">Mean</th>
            </tr>
          </thead>
          <tbody>
            {top.map(({ name, type, count: values, total }) => (
              <tr key={`${name} ${type}`}>
                <td class="words">
                  <Link to={linkTo({ metric: name, type })}>
                    <bdi>{name}</bdi>
                  </Link>
                </td>
                <td>
                  <span class="badge">{type}</span>
                </td>
                <td class="number">{count(values)}</td>
                <td class="number">{formatOf(name, type, 'sum')(type === 'counter' ? total : null)}</td>
                <td class="number">{formatOf(name, type, 'avg')(type === 'counter' ? null : total / values)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
