// Numbers as people read them: few digits, and the unit that the name of a metric tells.
import { lazily } from '../shared/lazily';

export type Format = (value: number | null | undefined) => string;

const NOTHING = '–';

const plain = lazily(() => new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 }));
const compact = lazily(() => new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4, notation: 'compact' }));
const whole = lazily(() => new Intl.NumberFormat());

function digits(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 1e15 || size < 1e-6) return value.toExponential(2);
  return (size >= 1e5 ? compact : plain)().format(value);
}

const shown = (format: (value: number) => string): Format => (value) =>
  value === null || value === undefined || !Number.isFinite(value) ? NOTHING : format(value);

export const number = shown(digits);

/** All digits. */
export const count = shown((value) => whole().format(value));

export const percent = shown((value) => `${digits(Number((value * 100).toPrecision(4)))} %`);

export const perSecond = shown((value) => `${digits(value)}/s`);

export const seconds = shown((value) => {
  const size = Math.abs(value);
  if (size === 0) return '0 s';
  if (size < 0.001) return `${digits(value * 1e6)} µs`;
  if (size < 1) return `${digits(value * 1e3)} ms`;
  if (size < 120) return `${digits(value)} s`;
  return size < 7_200 ? `${digits(value / 60)} min` : `${digits(value / 3_600)} h`;
});

export const milliseconds = shown((value) => seconds(value / 1000));

const BYTE_UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

export const bytes = shown((value) => {
  const size = Math.abs(value);
  const power = size < 1 ? 0 : Math.min(Math.floor(Math.log2(size) / 10), BYTE_UNITS.length - 1);
  return `${digits(value / 1024 ** power)} ${BYTE_UNITS[power]}`;
});

/** For a figure of a metric: its values have the unit its name ends with, numbers of them none. */
export function formatOf(name: string, type: string, agg: string): Format {
  const unit = unitOf(name.replace(/_total$/, ''));
  if (agg === 'count') return number;
  if (agg === 'rate') {
    const isOfBytes = type === 'counter' && unit === bytes;
    return isOfBytes ? shown((value) => `${bytes(value)}/s`) : perSecond;
  }
  return unit;
}

function unitOf(name: string): Format {
  if (/_seconds$/.test(name)) return seconds;
  if (/(_ms|_milliseconds)$|^web_vitals_(lcp|inp|fcp|ttfb)$/.test(name)) return milliseconds;
  if (/_bytes$/.test(name)) return bytes;
  if (/_ratio$/.test(name)) return percent;
  return number;
}
