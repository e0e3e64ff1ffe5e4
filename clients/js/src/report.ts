// An error as browser-relay takes it.
import { type Plain, cut, kindOf, plain } from './plain.js';
import { safely } from './safely.js';

export interface Report {
  type: string;
  message: string;
  /** As the browser writes it; empty where what was thrown is no error. */
  stack: string;
  /** The page, with query and fragment. */
  url: string;
  user_agent: string;
  session_id: string;
  /** Whatever else is known; `user_id` and `breadcrumbs` are among it. */
  context: { [name: string]: Plain };
  release?: string | undefined;
  /** ISO 8601 with milliseconds. */
  timestamp: string;
}

export type Description = Pick<Report, 'type' | 'message' | 'stack'>;

/** error-tracker takes 200 bytes, and a character is three at most. */
const TYPE_MAX = 65;
export const MESSAGE_MAX = 4_000;
const STACK_MAX = 16_000;
const URL_MAX = 2_000;
/** The relay takes 64 KB, and so much may be under way while a page ends. */
const BODY_MAX = 60_000;

/** What was thrown, in the three fields that say it; `fallback` is the type of what is no error. */
export function described(thrown: unknown, fallback: string): Description {
  const error = safely(() => {
    // Those of another frame are errors of another kind.
    if (!(thrown instanceof Error || kindOf(thrown) === 'Error')) return undefined;
    const { name, message, stack } = thrown as Error;
    return { type: cut(name || 'Error', TYPE_MAX), message: cut(message, MESSAGE_MAX), stack: cut(stack ?? '', STACK_MAX) };
  });
  return (
    error() ?? {
      type: fallback,
      message: cut(typeof thrown === 'object' ? JSON.stringify(plain(thrown)) : thrown, MESSAGE_MAX),
      stack: '',
    }
  );
}

/** Where the function was called that made `here`: the services tell errors apart by their first frame, and that one would be ours. */
export function callerOf({ stack }: Error): string {
  return cut((stack ?? '').replace(/.*:\d.*\n?/, ''), STACK_MAX);
}

const encoder = new TextEncoder();

/** How long a text is as it travels. */
export function bytesOf(text: string): number {
  return encoder.encode(text).length;
}

/** JSON that fits: what is too large goes without its context and the end of its stack. */
export function bodyOf(report: Report): string {
  const fitted = (stack: number, context: Plain) =>
    JSON.stringify({ ...report, stack: cut(report.stack, stack), url: cut(report.url, URL_MAX), context });
  const context = plain(report.context) as Report['context'];
  const body = fitted(STACK_MAX, context);
  return bytesOf(body) > BODY_MAX ? fitted(MESSAGE_MAX, { user_id: context.user_id ?? null, is_cut: true }) : body;
}
