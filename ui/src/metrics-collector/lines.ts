// Rows of an answer as lines of a chart: one value, or none, for every bucket.
import { parseTime } from '../shared/time';
import { type MetricAnswer, type Resolution, STEPS } from './answers';

/** A line without its looks. */
export interface Line {
  /** What tells it from the others; unique in a chart. */
  name: string;
  /** What it is the line of, where that is labels: each is shown by itself, so that none changes how another reads. */
  labels?: [string, string][];
  values: (number | null)[];
}

export interface Lines {
  /** The first second of each bucket. */
  times: number[];
  from: number;
  to: number;
  lines: Line[];
}

/** More buckets than an answer has rows: beyond, only those with values are drawn. */
const BUCKETS_MAX = 12_000;

/** Every bucket between two times, so that what is missing shows as a gap. */
export function bucketsOf(span: { from: string; to: string; resolution: Resolution }, rows: readonly { bucket: string }[]) {
  const step = STEPS[span.resolution];
  const [from, to] = [Math.floor(second(span.from) / step) * step, second(span.to)];
  const length = Math.ceil((to - from) / step);
  const times =
    length <= BUCKETS_MAX
      ? Array.from({ length }, (_, index) => from + index * step)
      : [...new Set(rows.map(({ bucket }) => second(bucket)))];
  return { times, from, to, places: new Map(times.map((time, index) => [time, index])) };
}

/** A line for each group of labels. */
export function linesOf(answer: MetricAnswer, isCounter: boolean): Lines {
  const { times, from, to, places } = bucketsOf(answer, answer.data);
  const groups = new Map<string, Line>();
  for (const { labels, type, bucket, value } of answer.data) {
    const place = places.get(second(bucket));
    if (place === undefined) continue;
    const texts = textsOf(labels);
    const name = texts.map((label) => label.join('=')).join(' ') || type;
    let line = groups.get(name);
    if (!line) groups.set(name, (line = { name, labels: texts, values: Array<number | null>(times.length).fill(null) }));
    line.values[place] = value ?? null;
  }
  const lines = [...groups.values()].map((line) => (isCounter ? { ...line, values: quietIsZero(line.values) } : line));
  return { times, from, to, lines };
}

/** A line for each of several figures of the same rows. */
export function figuresOf<R extends { bucket: string }>(
  span: { from: string; to: string; resolution: Resolution },
  rows: readonly R[],
  figures: Record<string, (row: R) => number | null>,
  isCounter = false,
): Lines {
  const { times, from, to, places } = bucketsOf(span, rows);
  const lines = Object.entries(figures).map(([name, figure]) => {
    const values = Array<number | null>(times.length).fill(null);
    for (const row of rows) {
      const place = places.get(second(row.bucket));
      if (place !== undefined) values[place] = figure(row);
    }
    return { name, values: isCounter ? quietIsZero(values) : values };
  });
  return { times, from, to, lines };
}

/** From its first value on, a counter that nobody increments stands at zero; the newest bucket may still get some. */
function quietIsZero(values: (number | null)[]): (number | null)[] {
  const first = values.findIndex((value) => value !== null);
  return values.map((value, place) => value ?? (first >= 0 && place > first && place < values.length - 1 ? 0 : null));
}

/** Labels as text. */
function textsOf(labels: Record<string, unknown> | null): [string, string][] {
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  return Object.entries(labels ?? {}).map(([name, value]) => [name, text(value)]);
}

export interface Summary {
  last: number | null;
  min: number | null;
  max: number | null;
  mean: number | null;
}

/** What a line comes to. */
export function summaryOf(values: (number | null)[]): Summary {
  let last: number | null = null;
  let [min, max, sum, count] = [Infinity, -Infinity, 0, 0];
  for (const value of values) {
    if (value === null) continue;
    last = value;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    count += 1;
  }
  return count ? { last, min, max, mean: sum / count } : { last, min: null, max: null, mean: null };
}

function second(text: string): number {
  return Math.floor(parseTime(text).getTime() / 1000);
}
