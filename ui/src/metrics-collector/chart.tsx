// A chart over time: the cursor is shared by all charts of a page, dragging zooms, and the keyboard does both.
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { lazily } from '../shared/lazily';
import { colour, onThemeChange } from './colour';
import type { Format } from './figures';
import type { Lines } from './lines';
import type { Stretch } from './view';

/** Charts of this key share a cursor. */
const CURSOR = 'time';
/** A drag shorter than this was a click. */
const DRAG_PIXELS_MIN = 5;
/** Less than this holds no more than one bucket. */
const ZOOM_SECONDS_MIN = 120;
const AXIS_PIXELS = 62;
const DAY_SECONDS = 86_400;

/** How a line looks; what comes first is drawn first. */
export interface Look {
  /** A custom property of the style sheet. */
  colour: string;
  words?: string;
  /** A line to compare with: dashed, and no reason to make the chart taller. */
  isMark?: boolean;
}

export interface ChartProps {
  title: string;
  aside?: ComponentChildren;
  data: Lines;
  looks: readonly Look[];
  format: Format;
  onZoom: (stretch: Stretch) => void;
  onZoomOut: () => void;
  height?: number;
  /** For a table beside the chart that tells what the lines are, instead of the legend: the bucket to show. */
  onPlace?: (place: number, isAtCursor: boolean) => void;
}

/** The chart with its title and the values at the cursor. */
export function Chart(props: ChartProps) {
  const { title, aside, data, looks, onPlace } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef(props);
  newest.current = props;
  const [cursor, setCursor] = useState<number | null>(null);
  const [spoken, setSpoken] = useState('');
  const shape = data.lines.map(({ name }, index) => `${name}\n${looks[index]?.colour}`).join('\n\n');

  useLayoutEffect(() => {
    if (!place.current) return undefined;
    const chart = new uPlot(optionsOf(newest, setCursor, place.current.clientWidth), valuesOf(data), place.current);
    plot.current = chart;
    const resized = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      if (width > 0 && width !== chart.width) chart.setSize({ width, height: chart.height });
    });
    resized.observe(place.current);
    const unfollow = onThemeChange(() => chart.redraw(false, true));
    return () => {
      resized.disconnect();
      unfollow();
      chart.destroy();
      plot.current = null;
    };
  }, [shape]);

  useLayoutEffect(() => {
    if (plot.current?.data[0] !== data.times) plot.current?.setData(valuesOf(data));
  }, [data, shape]);

  const at = cursor ?? lastWithValue(data, looks);
  useEffect(() => onPlace?.(at, cursor !== null), [at, cursor !== null]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (plot.current) setSpoken((before) => steer(event, plot.current!, newest.current) ?? before);
  };
  return (
    <section class="chart card" aria-label={title}>
      <header>
        <h3>
          <bdi>{title}</bdi>
        </h3>
        {aside}
        {!onPlace && <Legend data={data} looks={looks} format={props.format} at={at} isAtCursor={cursor !== null} />}
      </header>
      <div
        ref={place}
        class="plot"
        tabIndex={0}
        role="application"
        aria-label={`${title}: chart. Arrow keys read values, shift with arrow keys selects, enter zooms to it, escape zooms out.`}
        onKeyDown={onKeyDown}
      />
      <span class="visually-hidden" aria-live="polite">
        {spoken}
      </span>
    </section>
  );
}

function Legend(props: { data: Lines; looks: readonly Look[]; format: Format; at: number; isAtCursor: boolean }) {
  const { data, looks, format, at, isAtCursor } = props;
  const time = data.times[at];
  return (
    <div class="legend">
      {data.lines.map(({ name, values }, index) => (
        <span key={name} class="key">
          <Swatch look={looks[index]} />
          <bdi>{looks[index]?.words ?? name}</bdi> <b>{format(values[looks[index]?.isMark ? 0 : at])}</b>
        </span>
      ))}
      <span class="faint">{isAtCursor && time !== undefined ? <Moment second={time} data={data} /> : 'newest'}</span>
    </div>
  );
}

/** When a bucket begins; in UTC on hover. */
export function Moment({ second, data }: { second: number; data: Lines }) {
  const utc = new Date(second * 1000).toISOString();
  return (
    <time dateTime={utc} title={utc.replace('T', ' ').replace('.000Z', ' UTC')}>
      {timeInWords(second, data)}
    </time>
  );
}

/** The colour of a line. */
export function Swatch({ look }: { look: Look | undefined }) {
  return <i class={look?.isMark ? 'swatch mark-line' : 'swatch'} style={{ color: `var(${look?.colour})` }} aria-hidden="true" />;
}

/** The newest bucket with a value; what values are compared with does not count. */
function lastWithValue({ lines, times }: Lines, looks: readonly Look[]): number {
  const values = lines.filter((_, line) => !looks[line]?.isMark).map(({ values }) => values);
  for (let index = times.length - 1; index >= 0; index--) {
    if (values.some((line) => line[index] !== null && line[index] !== undefined)) return index;
  }
  return times.length - 1;
}

function valuesOf({ times, lines }: Lines): uPlot.AlignedData {
  return [times, ...lines.map(({ values }) => values)];
}

function optionsOf(newest: { current: ChartProps }, onCursor: (place: number | null) => void, width: number): uPlot.Options {
  const { data, looks, height = 180 } = newest.current;
  const axis = { stroke: () => colour('--faint'), font: '12px system-ui, sans-serif' };
  const grid = { stroke: () => colour('--line'), width: 1 };
  return {
    width: width || 300,
    height,
    legend: { show: false },
    padding: [10, 22, null, null],
    scales: {
      x: { range: () => [newest.current.data.from, newest.current.data.to] },
      y: { range: (_, min, max) => heightOf(min, max) },
    },
    axes: [
      { ...axis, grid, ticks: { ...grid, size: 4 }, values: timesOf, space: 60, size: 30 },
      {
        ...axis,
        grid,
        ticks: { show: false },
        size: AXIS_PIXELS,
        space: 34,
        values: (_, splits) => splits.map((value) => newest.current.format(value)),
      },
    ],
    series: [{}, ...data.lines.map((_, index) => seriesOf(looks[index], data.lines.length === 1))],
    cursor: {
      x: true,
      y: false,
      points: { size: 7 },
      drag: { x: true, y: false, setScale: false, dist: DRAG_PIXELS_MIN },
      // What is selected in one chart is not in the others.
      sync: { key: CURSOR, setSeries: false, filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } },
      bind: {
        dblclick: () => () => {
          newest.current.onZoomOut();
          return null;
        },
      },
    },
    hooks: {
      setCursor: [(plot) => onCursor(cursorOf(plot))],
      setSelect: [(plot) => zoomToSelection(plot, newest.current)],
    },
  };
}

function seriesOf(look: Look | undefined, isAlone: boolean): uPlot.Series {
  const name = look?.colour ?? '--accent';
  if (look?.isMark) return { stroke: () => colour(name), width: 1, dash: [4, 4], auto: false, points: { show: false } };
  return {
    stroke: () => colour(name),
    width: 1.75,
    ...(isAlone ? { fill: () => colour(name).replace(/^rgba?\((.*)\)$/, 'rgba($1, 0.12)') } : {}),
    spanGaps: false,
    points: { show: true, size: 4, fill: () => colour(name), width: 0, filter: lonely },
  };
}

/** Values without neighbours make no line: they are drawn as points. */
function lonely(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  const has = (index: number) => values[index] !== null && values[index] !== undefined;
  return Array.from(values.keys()).filter((index) => has(index) && !has(index - 1) && !has(index + 1));
}

/** From zero, unless all values are far from it. */
function heightOf(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const [low, high] = [Math.min(min, max), Math.max(min, max)];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  if (low >= 0 && low < high * 0.7) return [0, high + room];
  if (low === high && low >= 0) return [0, high + room];
  return [low - room, high + room];
}

const clock = lazily(() => new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' }));
const day = lazily(() => new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }));
const both = lazily(() => new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }));

/** The day where it changes, else the time. */
function timesOf(_: uPlot, splits: number[]): string[] {
  let before = '';
  return splits.map((second, index) => {
    const time = new Date(second * 1000);
    const today = day().format(time);
    const isNew = today !== before;
    before = today;
    const isMidnight = time.getHours() === 0 && time.getMinutes() === 0;
    return isMidnight || (isNew && index > 0) ? today : clock().format(time);
  });
}

/** With the day where a chart has several. */
function timeInWords(second: number, { from, to }: Lines): string {
  return (to - from > DAY_SECONDS ? both : clock)().format(second * 1000);
}

function zoomToSelection(plot: uPlot, { onZoom }: ChartProps): void {
  const { left, width } = plot.select;
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  if (width < DRAG_PIXELS_MIN) return;
  const [from, to] = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')].map(Math.round) as [number, number];
  const missing = Math.max(0, ZOOM_SECONDS_MIN - (to - from));
  onZoom({ from: from - Math.ceil(missing / 2), to: to + Math.ceil(missing / 2) });
}

/** The bucket under the cursor. */
function cursorOf({ cursor }: uPlot): number | null {
  return (cursor.left ?? -1) >= 0 ? (cursor.idx ?? null) : null;
}

/** What a key does to a chart; the words to say, if there are any. */
function steer(event: KeyboardEvent, plot: uPlot, props: ChartProps): string | undefined {
  const { data, looks, format } = props;
  const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  const step = steps[event.key];
  if (step !== undefined) {
    event.preventDefault();
    const last = data.times.length - 1;
    const before = cursorOf(plot);
    const place = before === null ? lastWithValue(data, looks) : Math.max(0, Math.min(last, before + step));
    const time = data.times[place];
    if (time === undefined) return undefined;
    const left = plot.valToPos(time, 'x');
    if (event.shiftKey) select(plot, plot.valToPos(data.times[before ?? place] ?? time, 'x'), left);
    else plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    plot.setCursor({ left, top: plot.over.clientHeight / 2 });
    const words = data.lines.map(({ name, values }, line) => `${looks[line]?.words ?? name} ${format(values[place])}`);
    return `${timeInWords(time, data)}: ${words.join(', ')}`;
  }
  if (event.key === 'Enter' && plot.select.width > 0) {
    event.preventDefault();
    zoomToSelection(plot, props);
  } else if (event.key === 'Escape') {
    if (plot.select.width > 0) plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    else props.onZoomOut();
  }
  return undefined;
}

/** Moves the end of the selection that is not where it began. */
function select(plot: uPlot, before: number, now: number): void {
  const { left, width } = plot.select;
  const isGrowing = width > 0;
  const anchor = isGrowing ? (Math.abs(before - left) < Math.abs(before - left - width) ? left + width : left) : before;
  plot.setSelect(
    { left: Math.min(anchor, now), top: 0, width: Math.abs(now - anchor), height: plot.over.clientHeight },
    false,
  );
}

