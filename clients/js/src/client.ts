// What an application holds in its hands, and how the parts work together.
import { breadcrumbs } from './breadcrumbs.js';
import { captureClicks } from './capture/clicks.js';
import { captureConsole } from './capture/console.js';
import { captureExceptions } from './capture/exceptions.js';
import { listen } from './capture/install.js';
import { captureNetwork } from './capture/network.js';
import { captureVitals } from './capture/vitals.js';
import { type Settings, matches } from './config.js';
import { type MetricItem, type Stats, delivery } from './delivery.js';
import { leftovers } from './leftovers.js';
import { type Plain, cut, plain } from './plain.js';
import { repeats } from './repeats.js';
import { type Description, MESSAGE_MAX, type Report, bodyOf, bytesOf, callerOf, described } from './report.js';
import { debug, safely } from './safely.js';
import { sessionId } from './session.js';

/** Values by which a metric can be told apart; few of them each, no identifiers. */
export type Labels = Record<string, string | number | boolean>;
export type Context = Record<string, unknown>;

/** Nothing here raises, and nothing waits for the network but `flush`. */
export interface Monlight {
  /** Reports what was caught, or any value. */
  captureError: (error: unknown, context?: Context) => void;
  /** Reports something that is wrong without an exception. */
  captureMessage: (message: string, context?: Context) => void;
  /** Who is using the page; null: nobody that is known. */
  setUser: (id: string | number | null) => void;
  /** Goes along with each report from now on. */
  setContext: (context: Context) => void;
  addBreadcrumb: (message: string, type?: string) => void;
  counter: (name: string, labels?: Labels, value?: number) => void;
  gauge: (name: string, value: number, labels?: Labels) => void;
  histogram: (name: string, value: number, labels?: Labels) => void;
  /** Sends what waits; true when everything has arrived. */
  flush: () => Promise<boolean>;
  /** Errors and values that were sent, lost, and wait. */
  stats: () => Stats;
}

/** What metrics-collector takes: names of 200 bytes, 32 labels of 4 KB in all, and their names of 100 bytes; some of it is the relay's. */
const NAME_BYTES_MAX = 200;
const LABELS_MAX = 20;
const LABELS_BYTES_MAX = 3_500;
/** A character is three bytes at most. */
const LABEL_NAME_MAX = 32;
const LABEL_MAX = 200;
/** Browsers say so when a frame is late; no application can do anything about it. */
const NO_ERROR = 'ResizeObserver loop';

/** What an application says, even if some of it raises when read. */
const readable = plain as (context: Context | undefined) => Context;

export function client(settings: Settings): Monlight {
  // Ours is written past what we put around the console.
  if (settings.debug) debug.log = console.debug.bind(console, '[monlight]');
  const queue = delivery(settings, leftovers(settings.dsn));
  const isRepeat = repeats();
  const [trail, leave] = breadcrumbs();
  const session = sessionId();
  const sendsMetrics = Math.random() < settings.sampleRate;
  let common: Context = {};
  let user: Context = {};

  // What is given may raise when read.
  const counted = <A extends unknown[]>(work: (...given: A) => void) => safely(work, (error) => queue.lose(1, cut(error, LABEL_MAX)));

  const report = counted((what: Description, context?: Context) => {
    if (
      matches(`${what.type}: ${what.message}`, [NO_ERROR, settings.ignoreErrors]) ||
      matches(what.stack, settings.ignoreUrls) ||
      Math.random() >= settings.errorSampleRate ||
      isRepeat(what, Date.now())
    ) {
      return;
    }
    leave();
    const whole: Report = {
      ...what,
      url: location.href,
      user_agent: navigator.userAgent,
      session_id: session,
      context: plain({ ...common, ...user, ...readable(context), ...(settings.breadcrumbs && { breadcrumbs: trail }) }) as Report['context'],
      release: settings.release,
      timestamp: new Date().toISOString(),
    };
    const last = settings.beforeSend ? settings.beforeSend(whole) : whole;
    if (last) queue.error(bodyOf(last));
  });

  const say = (message: string, here: Error, context?: Context) => {
    report({ type: 'Error', message: cut(message, MESSAGE_MAX), stack: callerOf(here) }, context);
  };

  const measure = counted((type: MetricItem['type'], name: string, value: number, labels?: Labels, page = location.pathname) => {
    if (!sendsMetrics) return;
    const labelled: Record<string, Plain> = {};
    for (const [label, given] of Object.entries({ ...labels }).slice(0, LABELS_MAX)) {
      labelled[cut(label, LABEL_NAME_MAX)] = typeof given === 'boolean' || Number.isFinite(given) ? given : cut(given, LABEL_MAX);
    }
    Object.assign(labelled, { session_id: session, page: cut(page, LABEL_MAX) });
    const item = { name: cut(name, NAME_BYTES_MAX), type, value, timestamp: new Date().toISOString(), labels: labelled };
    // A value that the services refuse would take its whole batch along.
    if (!name || bytesOf(item.name) > NAME_BYTES_MAX || !Number.isFinite(value) || bytesOf(JSON.stringify(labelled)) > LABELS_BYTES_MAX) {
      queue.lose(1, `no metric: ${item.name}`);
    } else queue.metric(item);
  });

  const install = (isWanted: unknown, put: () => void) => {
    if (isWanted) safely(put)();
  };
  install(settings.captureErrors, () => {
    captureExceptions((thrown, fallback) => report(described(thrown, fallback)));
  });
  install(settings.captureConsole, () => {
    captureConsole((level, written, here) => {
      const message = written.map((one) => (typeof one === 'string' ? one : described(one, '').message)).join(' ');
      const type = level === 'error' ? 'ConsoleError' : level === 'warn' && settings.captureConsole !== 'error' && 'ConsoleWarning';
      if (type) {
        const stack = written.map((one) => described(one, '').stack).join('') || callerOf(here);
        report({ type, message: cut(message, MESSAGE_MAX), stack });
      }
      leave('console', `${level}: ${message}`);
    });
  });
  install(settings.captureNetwork, () => {
    captureNetwork((method, url, status, milliseconds, here) => {
      if (matches(url.href, [`${settings.endpoint}/`, settings.ignoreUrls])) return;
      const labels = { method, status: `${status}`, host: url.host };
      measure('counter', 'browser_http_requests_total', 1, labels);
      measure('histogram', 'browser_http_request_duration_ms', milliseconds, labels);
      // Without query and fragment, which may have anything in them.
      const address = url.origin + url.pathname;
      const message = `${method} ${address} ${status ? `answered ${status}` : 'failed'}`;
      if (!status || status >= 500) {
        say(message, here, { type: 'NetworkError', method, url: address, status });
      }
      leave('request', message);
    });
  });
  // In a worker there is none.
  if (typeof document !== 'undefined') {
    install(settings.breadcrumbs, () => {
      captureClicks((element) => {
        leave('click', element);
        // Where it leads to.
        setTimeout(leave);
      });
    });
    install(settings.captureVitals, () => {
      const page = location.pathname;
      captureVitals((name, value) => measure('histogram', name, value, undefined, page));
    });
    // After the vitals, whose last values go along.
    listen(globalThis, 'pagehide', () => queue.hide(true));
    listen(document, 'visibilitychange', () => queue.hide(document.visibilityState === 'hidden'));
  }
  listen(globalThis, 'online', queue.retry);

  return {
    captureError: (error, context) => report(described(error, 'Error'), context),
    captureMessage(message, context) {
      say(message, new Error(), context);
    },
    setUser(id) {
      user = id === null ? {} : { user_id: cut(id, LABEL_MAX) };
    },
    setContext(context) {
      common = { ...common, ...readable(context) };
    },
    addBreadcrumb: (message, type = 'custom') => leave(type, message),
    counter: (name, labels, value = 1) => measure('counter', name, value, labels),
    gauge: (name, value, labels) => measure('gauge', name, value, labels),
    histogram: (name, value, labels) => measure('histogram', name, value, labels),
    flush: queue.flush,
    stats: queue.stats,
  };
}
