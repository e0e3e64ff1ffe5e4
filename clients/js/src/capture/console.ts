// What a page writes to its console.
import { safely } from '../safely.js';
import { replace } from './install.js';

const LEVELS = ['error', 'warn', 'info', 'log'] as const;

/** `seen` gets each line before it is written, and an error of this place; what it writes itself is not seen. */
export function captureConsole(seen: (level: (typeof LEVELS)[number], written: unknown[], here: Error) => void): void {
  let isOurs = false;
  const look = safely(seen);
  for (const level of LEVELS) {
    replace(console, level, (original) => (...written: unknown[]) => {
      if (!isOurs) {
        isOurs = true;
        look(level, written, new Error());
        isOurs = false;
      }
      original.apply(console, written);
    });
  }
}
