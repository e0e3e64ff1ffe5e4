// Any value as JSON can have it, within bounds: what an application hands over may be cyclic, endless, or raise when read.
import { safely } from './safely.js';

export type Plain = string | number | boolean | null | Plain[] | { [name: string]: Plain };

/** Deeper is more than anybody reads in a report. */
const DEPTH_MAX = 5;
/** Values in all, so that a wide and deep one ends too. */
const VALUES_MAX = 300;
const TEXT_MAX = 1_000;

/** The beginning of a value's text, with what is no Unicode replaced: servers refuse half a pair. */
export function cut(value: unknown, max: number): string {
  const text = safely(String)(value) ?? '[no text]';
  return (text.length > max ? `${text.slice(0, max)}…` : text).replace(/\p{Cs}/gu, '\ufffd');
}

/** What kind of thing the browser says it is, such as `Error` or `HTMLDivElement`; also of another frame's. */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

export function plain(value: unknown): Plain {
  const above: unknown[] = [];
  let left = VALUES_MAX;

  const members = (value: object): Plain => {
    if (Array.isArray(value)) return value.slice(0, left + 1).map(walk);
    // Errors, dates and addresses say what they are; others at least of which kind.
    if (kindOf(value) !== 'Object') return cut(value, TEXT_MAX);
    const all: { [name: string]: Plain } = {};
    for (const name of Object.keys(value).slice(0, left + 1)) {
      const [member] = safely(() => [(value as Record<string, unknown>)[name]])() ?? ['[unreadable]'];
      all[cut(name, TEXT_MAX)] = walk(member);
    }
    return all;
  };
  const walk = (value: unknown): Plain => {
    if (--left < 0 || above.length > DEPTH_MAX) return '…';
    if (value == null || typeof value === 'boolean' || Number.isFinite(value)) return (value ?? null) as Plain;
    if (typeof value !== 'object') return cut(value, TEXT_MAX);
    if (above.includes(value)) return '[circular]';
    above.push(value);
    const made = safely(members)(value);
    above.pop();
    return made ?? '[unreadable]';
  };
  return walk(value);
}
