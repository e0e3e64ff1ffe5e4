// Times in the viewer's zone, with UTC on hover.
import { useEffect, useState } from 'preact/hooks';
import { lazily } from './lazily';

const full = lazily(() => new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }));

const UNITS = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

/** Reads what the services write; those without a zone are UTC. */
export function parseTime(text: string): Date {
  return new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text.replace(' ', 'T')}Z`);
}

/** Such as "5 min ago", in the language of the page. By hand: the first of Intl's formats takes longer to make than a list to draw. */
export function sinceThen(then: Date, now = Date.now()): string {
  const seconds = (now - then.getTime()) / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ['s', 1];
  const count = Math.trunc(Math.abs(seconds) / length);
  if (unit === 's' && count < 10) return 'now';
  const isWord = length >= 86_400;
  const words = `${count} ${unit}${isWord && count > 1 ? 's' : ''}`;
  return seconds > 0 ? `${words} ago` : `in ${words}`;
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
  // Written when somebody points at it: a list has a hundred of them.
  const tell = (event: Event) => {
    const utc = `${time.toISOString().replace('T', ' ').replace('Z', '')} UTC`;
    (event.currentTarget as HTMLElement).title = isFull ? utc : `${inFull(time)}\n${utc}`;
  };
  return (
    <time dateTime={time.toISOString()} onPointerEnter={tell}>
      {isFull ? inFull(time) : sinceThen(time, now)}
    </time>
  );
}
