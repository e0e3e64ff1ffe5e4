// The explorer: any metric over time, by its labels.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { useAnswer } from '../shared/answer';
import { TroubleLine } from '../shared/trouble';
import { type Labels, type Metric, type Type, labelsOf, metric, percentiles } from './answers';
import { Chart, type Look } from './chart';
import { NothingInPeriod } from './empty';
import { type Format, formatOf } from './figures';
import { Filters, GroupBy } from './label-choice';
import { type Line, type Lines, linesOf, summaryOf } from './lines';
import { MetricList } from './metric-list';
import { PERCENTILE_LOOKS, percentileLines } from './requests';
import { LineTable } from './line-table';
import { type Changes, type View, stretchParams, writeLabels, zooming } from './view';

/** Lines that are drawn at first: more of them cannot be told apart. */
const DRAWN_MAX = 10;
/** As many colours as the style sheet has. */
const COLOURS = 8;

/** All percentiles at once: a word of this page, not of the API. */
const PERCENTILES = 'percentiles';

const AGGS: Record<Type, readonly string[]> = {
  counter: ['rate', 'sum', 'count', 'avg', 'min', 'max'],
  histogram: [PERCENTILES, 'p50', 'p95', 'p99', 'avg', 'min', 'max', 'rate', 'count', 'sum'],
  gauge: ['avg', 'min', 'max', 'sum', 'count'],
};

const AGG_WORDS: Record<string, string> = {
  rate: 'Per second',
  sum: 'Sum',
  count: 'Number of values',
  avg: 'Average',
  min: 'Smallest',
  max: 'Largest',
  p50: 'Median (p50)',
  p95: 'p95',
  p99: 'p99',
  [PERCENTILES]: 'p50, p95, p99',
};

interface ExplorerProps {
  view: View;
  change: (changes: Changes, replace?: boolean) => void;
  metrics: readonly Metric[];
  /** What the page says already of what is wrong. */
  said: string | undefined;
  /** Goes up when the viewer asks for newer values. */
  turn: number;
  onLoading: (isLoading: boolean) => void;
}

export function Explorer(props: ExplorerProps) {
  const { view, metrics } = props;
  const chosen = view.metric ? metricOf(view, metrics) : metrics[0];
  return (
    <div class="explorer">
      <MetricList metrics={metrics} view={chosen ? { ...view, metric: chosen.name, type: chosen.type } : view} />
      <div class="explored">
        {chosen ? (
          <Explored {...props} key={`${chosen.name} ${chosen.type}`} chosen={chosen} />
        ) : (
          <NothingInPeriod view={view} change={props.change} />
        )}
      </div>
    </div>
  );
}

/** What the URL names; of a metric that is not there, what an answer would say. */
function metricOf({ metric, type }: View, metrics: readonly Metric[]): Metric {
  const known = metrics.find(({ name, type: other }) => name === metric && (!type || type === other));
  return known ?? { name: metric, type: type in AGGS ? (type as Type) : 'gauge' };
}

function Explored(props: ExplorerProps & { chosen: Metric }) {
  const { view, change, chosen, said, turn, onLoading } = props;
  const of = { name: chosen.name, type: chosen.type, project: view.project };
  const labels = useAnswer((signal) => labelsOf(of, signal), [JSON.stringify(of), turn]);
  const { agg, choices } = aggOf(view, chosen.type);
  const answer = useLines(view, of, agg, turn);
  useEffect(() => {
    onLoading(answer.isLoading);
    return () => onLoading(false);
  }, [answer.isLoading]);
  const trouble = answer.trouble ? answer : labels;
  return (
    <>
      <h2>
        <bdi>{chosen.name}</bdi> <span class="badge">{chosen.type}</span>
      </h2>
      <div class="bar">
        <label class="field">
          <span>Show</span>
          <select value={agg} onChange={(event) => change({ agg: event.currentTarget.value })}>
            {choices.map((choice) => (
              <option key={choice} value={choice}>
                {AGG_WORDS[choice]}
              </option>
            ))}
          </select>
        </label>
        {labels.value && <LabelBar labels={labels.value} view={view} change={change} />}
      </div>
      {trouble.trouble?.message !== said && (
        <TroubleLine trouble={trouble.trouble} retryAt={trouble.retryAt} onRetry={trouble.reload} />
      )}
      {answer.value && (
        <LinesShown
          data={answer.value}
          title={titleOf(agg, view)}
          format={formatOf(chosen.name, chosen.type, agg)}
          view={view}
          change={change}
        />
      )}
    </>
  );
}

function LabelBar({ labels, view, change }: { labels: Labels; view: View; change: ExplorerProps['change'] }) {
  return (
    <>
      <GroupBy
        labels={labels.labels}
        value={view.groupBy}
        onChange={(names) => change({ by: names.join(',') })}
      />
      <Filters
        labels={labels.labels}
        value={view.labels}
        onChange={(chosen) => change({ labels: writeLabels(chosen) })}
      />
    </>
  );
}

function titleOf(agg: string, { groupBy }: View): string {
  return groupBy.length > 0 ? `${AGG_WORDS[agg]} by ${groupBy.join(', ')}` : (AGG_WORDS[agg] ?? agg);
}

/** What is asked for, of what the type has; percentiles together only where there are no groups. */
function aggOf(view: View, type: Type): { agg: string; choices: readonly string[] } {
  const choices = view.groupBy.length > 0 ? AGGS[type].filter((agg) => agg !== PERCENTILES) : AGGS[type];
  const first = type === 'histogram' && view.groupBy.length > 0 ? 'p95' : choices[0]!;
  return { agg: choices.includes(view.agg) ? view.agg : first, choices };
}

function useLines(view: View, of: { name: string; type: Type; project: string }, agg: string, turn: number) {
  const params = {
    ...of,
    ...stretchParams(view),
    labels: writeLabels(view.labels),
    group_by: view.groupBy.join(','),
  };
  const isCounter = agg === 'count' || (of.type === 'counter' && (agg === 'rate' || agg === 'sum'));
  const load = async (signal: AbortSignal) =>
    agg === PERCENTILES
      ? percentileLines(await percentiles(params, signal))
      : linesOf(await metric({ ...params, agg }, signal), isCounter);
  return useAnswer(load, [JSON.stringify(params), agg, turn], view.zoom ? 0 : view.refresh);
}

/** A chart of the greatest lines, and a table of all in which others can be drawn too. */
function LinesShown(props: { data: Lines; title: string; format: Format; view: View; change: ExplorerProps['change'] }) {
  const { data, title, format, view, change } = props;
  const [chosen, setChosen] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [at, setAt] = useState<{ place: number; isAtCursor: boolean }>();
  const lines = useMemo(() => greatestFirst(data.lines), [data]);
  const arePercentiles = lines.length === 3 && lines.every(({ name }) => /^p\d\d$/.test(name));
  const looks = new Map(lines.map(({ name }, index) => [name, lookOf(arePercentiles, name, index)]));
  const drawn = useMemo(
    () => lines.filter(({ name }, index) => chosen.get(name) ?? index < DRAWN_MAX),
    [lines, chosen],
  );
  const shown = useMemo(() => ({ ...data, lines: drawn }), [data, drawn]);
  if (lines.every(({ values }) => values.every((value) => value === null))) {
    return <NothingInPeriod view={view} change={change} />;
  }
  return (
    <>
      <Chart
        title={title}
        data={shown}
        looks={drawn.map(({ name }) => looks.get(name)!)}
        format={format}
        height={300}
        onPlace={(place, isAtCursor) => setAt({ place, isAtCursor })}
        {...zooming(change)}
      />
      <LineTable
        lines={lines}
        looks={looks}
        drawn={new Set(drawn.map(({ name }) => name))}
        format={format}
        place={at?.isAtCursor ? at.place : undefined}
        data={data}
        onDraw={(name, isDrawn) => setChosen(new Map(chosen).set(name, isDrawn))}
      />
    </>
  );
}

function lookOf(isPercentile: boolean, name: string, index: number): Look {
  const place = ['p50', 'p95', 'p99'].indexOf(name);
  return (isPercentile && PERCENTILE_LOOKS[place]) || { colour: `--series-${index % COLOURS}` };
}

function greatestFirst(lines: Line[]): Line[] {
  const means = new Map(lines.map(({ name, values }) => [name, summaryOf(values).mean ?? -Infinity]));
  return [...lines].sort((a, b) => (means.get(b.name) ?? 0) - (means.get(a.name) ?? 0) || (a.name < b.name ? -1 : 1));
}
