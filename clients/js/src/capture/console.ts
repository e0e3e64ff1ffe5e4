// What a page writes to its console.
import { safely } from '../safely';
import { replace } from './install';

const LEVELS = ['error', 'warn', 'info', 'log'] as const;

/** `seen` gets each line before it is written; what it writes itself is not seen. */
export function captureConsole(seen: (level: (typeof LEVELS)[number], written: unknown[]) => void): void {
  let isOurs = false;
  const look = safely(seen);
  for (const level of LEVELS) {
    replace(console, level, (original) => (...written: unknown[]) => {
      if (!isOurs) {
        isOurs = true;
        look(level, written);
        isOurs = false;
      }
      original.apply(console, written);
    });
  }
}
