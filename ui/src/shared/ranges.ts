// Ranges of time as addresses have them: `15m`, `24h`, `7d`, until now.

import { askedAt } from './api';

const RANGE = /^(\d+)([smhd])$/;
const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const WORDS = { s: 'second', m: 'minute', h: 'hour', d: 'day' } as const;

/** `24h` in seconds; nothing for what is not a range. */
export function rangeSeconds(range: string): number | undefined {
  const parts = RANGE.exec(range);
  return parts ? Number(parts[1]) * SECONDS[parts[2] as keyof typeof SECONDS] : undefined;
}

/** When a range that ends now begins, to the second; empty for what is not a range. */
export function rangeStart(range: string): string {
  const seconds = rangeSeconds(range);
  if (seconds === undefined) return '';
  const start = new Date((Math.floor(askedAt() / 1000) - seconds) * 1000);
  return Number.isNaN(start.getTime()) ? '' : start.toISOString();
}

/** `24h` as "last 24 hours". */
export function rangeInWords(range: string): string {
  const parts = RANGE.exec(range);
  if (!parts) return range;
  const word = WORDS[parts[2] as keyof typeof WORDS];
  return parts[1] === '1' ? `Last ${word}` : `Last ${parts[1]} ${word}s`;
}
