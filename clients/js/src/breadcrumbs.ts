// What happened before an error.
import { cut } from './plain.js';

export interface Breadcrumb {
  /** `click`, `navigation`, `request`, `console`, or what an application says. */
  type: string;
  message: string;
  /** ISO 8601 with milliseconds. */
  timestamp: string;
}

const KEPT_MAX = 20;
const MESSAGE_MAX = 200;

/** The last ones, and what adds one; each time it looks whether the application has gone elsewhere, without wrapping how it does that. */
export function breadcrumbs(): [kept: Breadcrumb[], add: (type?: string, message?: unknown) => void] {
  const kept: Breadcrumb[] = [];
  let path = location.pathname;
  const push = (type: string, message: unknown) => {
    kept.push({ type, message: cut(message, MESSAGE_MAX), timestamp: new Date().toISOString() });
    if (kept.length > KEPT_MAX) kept.shift();
  };
  return [
    kept,
    (type, message) => {
      // Without query and fragment.
      if (path !== location.pathname) push('navigation', (path = location.pathname));
      if (type) push(type, message);
    },
  ];
}
