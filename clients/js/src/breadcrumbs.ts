// What happened before an error.
import { cut } from './plain';

export interface Breadcrumb {
  /** `click`, `navigation`, `request`, `console`, or what an application says. */
  type: string;
  message: string;
  /** ISO 8601 with milliseconds. */
  timestamp: string;
}

const KEPT_MAX = 20;
const MESSAGE_MAX = 200;

/** The last ones, and what adds one. */
export function breadcrumbs(): [kept: Breadcrumb[], add: (type: string, message: unknown) => void] {
  const kept: Breadcrumb[] = [];
  return [
    kept,
    (type, message) => {
      kept.push({ type, message: cut(message, MESSAGE_MAX), timestamp: new Date().toISOString() });
      if (kept.length > KEPT_MAX) kept.shift();
    },
  ];
}
