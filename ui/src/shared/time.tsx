// Times in the viewer's zone, with UTC on hover; and the range a page looks at.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { lazily } from './lazily';

const full = lazily(() => new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }));
const relative = lazily(() => new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' }));

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** Reads what the services write; those without a zone are UTC. */
export function parseTime(text: string): Date {
  return new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text.replace(' ', 'T')}Z`);
}

/** Such as "5 min. ago". */
export function sinceThen(then: Date, now = Date.now()): string {
  const seconds = (then.getTime() - now) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative().format(Math.trunc(seconds / length), unit);
  }
  return Math.abs(seconds) < 10 ? 'now' : relative().format(Math.trunc(seconds), 'second');
}

/** Date and time in the viewer's zone. */
export function inFull(time: Date): string {
  return full().format(time);
}

/** A moment: how long ago, or in full; UTC on hover. */
export function Time({ value, isFull = false }: { value: string; isFull?: boolean }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (isFull) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, [isFull]);
  const time = parseTime(value);
  if (Number.isNaN(time.getTime())) return <span>{value}</span>;
  const utc = `${time.toISOString().replace('T', ' ').replace('Z', '')} UTC`;
  return (
    <time dateTime={time.toISOString()} title={isFull ? utc : `${inFull(time)}\n${utc}`}>
      {isFull ? inFull(time) : sinceThen(time, now)}
    </time>
  );
}

/** A stretch of time as the URL has it: `15m`, `24h`, `7d`, or nothing for all. */
export function RangePicker(props: {
  value: string;
  choices: readonly string[];
  onChange: (value: string) => void;
  all?: string;
  children?: ComponentChildren;
}) {
  const choices = props.choices.includes(props.value) || !props.value ? props.choices : [...props.choices, props.value];
  return (
    <label class="field">
      <span>Time</span>
      <select value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.all !== undefined && <option value="">{props.all}</option>}
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {rangeInWords(choice)}
          </option>
        ))}
        {props.children}
      </select>
    </label>
  );
}

const RANGE = /^(\d+)([smhd])$/;
const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const WORDS = { s: 'second', m: 'minute', h: 'hour', d: 'day' } as const;

/** `24h` in seconds; nothing for what is not a range. */
export function rangeSeconds(range: string): number | undefined {
  const parts = RANGE.exec(range);
  return parts ? Number(parts[1]) * SECONDS[parts[2] as keyof typeof SECONDS] : undefined;
}

/** `24h` as "last 24 hours". */
export function rangeInWords(range: string): string {
  const parts = RANGE.exec(range);
  if (!parts) return range;
  const word = WORDS[parts[2] as keyof typeof WORDS];
  return parts[1] === '1' ? `Last ${word}` : `Last ${parts[1]} ${word}s`;
}
