// Web Vitals: how pages feel in the browsers of those who use them.
import { useMemo } from 'preact/hooks';
import type { Dashboard, Rating, VitalName, Vitals } from './answers';
import { Chart, type Look } from './chart';
import { type Format, count, milliseconds, number } from './figures';
import { figuresOf } from './lines';
import { type Changes, type View, zooming } from './view';

interface VitalKind {
  words: string;
  format: Format;
  /** Where good ends, and where poor begins: docs/metrics-collector.md. */
  good: number;
  poor: number;
}

const KINDS: Record<VitalName, VitalKind> = {
  lcp: { words: 'Largest contentful paint', format: milliseconds, good: 2_500, poor: 4_000 },
  inp: { words: 'Interaction to next paint', format: milliseconds, good: 200, poor: 500 },
  cls: { words: 'Cumulative layout shift', format: number, good: 0.1, poor: 0.25 },
  fcp: { words: 'First contentful paint', format: milliseconds, good: 1_800, poor: 3_000 },
  ttfb: { words: 'Time to first byte', format: milliseconds, good: 800, poor: 1_800 },
};
const NAMES = Object.keys(KINDS) as VitalName[];

/** A rating is told by a sign and by words, not by its colour alone. */
const RATINGS: Record<Rating, { words: string; sign: string; badge: string }> = {
  good: { words: 'good', sign: '●', badge: 'badge good' },
  'needs-improvement': { words: 'needs improvement', sign: '▲', badge: 'badge warn' },
  poor: { words: 'poor', sign: '■', badge: 'badge bad' },
  unknown: { words: 'no values', sign: '', badge: 'badge' },
};

const LOOKS: Look[] = [
  { colour: '--series-0', words: 'p75' },
  { colour: '--good', words: 'good below', isMark: true },
  { colour: '--bad', words: 'poor from', isMark: true },
];

interface PartProps {
  view: View;
  change: (changes: Changes, replace?: boolean) => void;
  vitals: Vitals;
  span: Dashboard;
}

export function VitalsPart({ view, change, vitals, span }: PartProps) {
  const shown = NAMES.find((name) => name === view.vital) ?? 'lcp';
  const { words, format, good, poor } = KINDS[shown];
  const data = useMemo(
    () =>
      figuresOf({ ...span, resolution: vitals.resolution }, vitals.timeseries, {
        [shown]: (row) => row[`${shown}_p75`],
      }),
    [vitals, shown],
  );
  const marks = [good, poor].map((value, index) => ({ name: String(index), values: data.times.map(() => value) }));
  const withMarks = useMemo(() => ({ ...data, lines: [...data.lines, ...marks] }), [data]);
  return (
    <section aria-labelledby="vitals">
      <h2 id="vitals">Web Vitals</h2>
      <div class="tiles vitals" role="group" aria-label="Which vital the chart shows">
        {NAMES.map((name) => (
          <VitalTile
            key={name}
            name={name}
            summary={vitals.summary[name]}
            isShown={name === shown}
            onShow={() => change({ vital: name === 'lcp' ? undefined : name }, true)}
          />
        ))}
      </div>
      <Chart
        title={`${words}, 75th percentile`}
        data={withMarks}
        looks={LOOKS}
        format={format}
        {...zooming(change)}
      />
      <Pages pages={vitals.by_page} />
    </section>
  );
}

function VitalTile(props: { name: VitalName; summary: Vitals['summary'][VitalName]; isShown: boolean; onShow: () => void }) {
  const { name, summary, isShown, onShow } = props;
  const { words, format } = KINDS[name];
  const rating = RATINGS[summary.rating];
  return (
    <button class="card tile" aria-pressed={isShown} onClick={onShow} title={words}>
      <span class="faint">{name.toUpperCase()}</span>
      <span class="figure">{format(summary.p75)}</span>
      <span>
        <span class={rating.badge}>
          {rating.sign} {rating.words}
        </span>
      </span>
      <span class="faint">{count(summary.count)} values</span>
    </button>
  );
}

function Pages({ pages }: { pages: Vitals['by_page'] }) {
  if (pages.length === 0) return null;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Web Vitals by page">
      <table>
        <thead>
          <tr>
            <th>Page</th>
            <th class="number">Views</th>
            {NAMES.map((name) => (
              <th key={name} class="number" title={`${KINDS[name].words}, 75th percentile`}>
                {name.toUpperCase()}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {pages.map((row) => (
            <tr key={row.page}>
              <td class="words" title={row.page}>
                <bdi>{row.page}</bdi>
              </td>
              <td class="number">{count(row.page_views)}</td>
              {NAMES.map((name) => (
                <RatedCell key={name} figure={KINDS[name].format(row[`${name}_p75`])} rating={row[`${name}_rating`]} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RatedCell({ figure, rating }: { figure: string; rating: Rating }) {
  const { sign, words } = RATINGS[rating];
  return (
    <td class={`number rated ${rating}`}>
      {figure} {sign && <span title={words}>{sign}</span>}
      {sign && <span class="visually-hidden">{words}</span>}
    </td>
  );
}
