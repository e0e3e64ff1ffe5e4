// What an application holds in its hands, and how the parts work together.
import { breadcrumbs } from './breadcrumbs';
import { captureClicks } from './capture/clicks';
import { captureConsole } from './capture/console';
import { captureExceptions } from './capture/exceptions';
import { listen } from './capture/install';
import { captureNavigation } from './capture/navigation';
import { captureNetwork } from './capture/network';
import { captureVitals } from './capture/vitals';
import { type Settings, matches } from './config';
import { type MetricItem, type Stats, delivery } from './delivery';
import { leftovers } from './leftovers';
import { type Plain, cut, plain } from './plain';
import { repeats } from './repeats';
import { type Description, type Report, bodyOf, bytesOf, described } from './report';
import { debug, safely } from './safely';
import { sessionId } from './session';

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

  const report = safely((what: Description, context: Context = {}) => {
    if (
      matches(`${what.type}: ${what.message}`, [NO_ERROR, ...settings.ignoreErrors]) ||
      matches(what.stack, settings.ignoreUrls) ||
      Math.random() >= settings.errorSampleRate ||
      isRepeat(what, Date.now())
    ) {
      return;
    }
    const whole: Report = {
      ...what,
      url: location.href,
      user_agent: navigator.userAgent,
      session_id: session,
      context: plain({ ...common, ...user, ...context, ...(settings.breadcrumbs && { breadcrumbs: trail }) }) as Report['context'],
      release: settings.release,
      timestamp: new Date().toISOString(),
    };
    const last = settings.beforeSend ? settings.beforeSend(whole) : whole;
    if (last) queue.error(bodyOf(last));
  });

  const captureError = (error: unknown, context?: Context) => {
    report(described(error, 'Error'), context);
  };

  const measure = safely((type: MetricItem['type'], name: string, value: number, labels?: Labels, page = location.pathname) => {
    if (!sendsMetrics) return;
    const labelled: Record<string, Plain> = {};
    for (const [label, given] of Object.entries({ ...labels }).slice(0, LABELS_MAX)) {
      labelled[cut(label, LABEL_NAME_MAX)] = typeof given === 'boolean' || Number.isFinite(given) ? given : cut(given, LABEL_MAX);
    }
    Object.assign(labelled, { session_id: session, page: cut(page, LABEL_MAX) });
    const item = { name: cut(name, NAME_BYTES_MAX), type, value, timestamp: new Date().toISOString(), labels: labelled };
    // A value that the services refuse would take its whole batch along.
    if (!name || bytesOf(item.name) > NAME_BYTES_MAX || !Number.isFinite(value) || bytesOf(JSON.stringify(labelled)) > LABELS_BYTES_MAX) {
      queue.lose(1, `no metric: ${item.name} ${value}`);
    } else queue.metric(item);
  });

  const install = (isWanted: unknown, put: () => void) => {
    if (isWanted) safely(put)();
  };
  install(settings.captureErrors, () => {
    captureExceptions((thrown, fallback) => report(described(thrown, fallback)));
  });
  install(settings.captureConsole, () => {
    captureConsole((level, written) => {
      const message = written.map((one) => (typeof one === 'string' ? one : described(one, '').message)).join(' ');
      const { stack } = described(written.find((one) => one instanceof Error) ?? new Error(), '');
      if (level === 'error') report({ ...described(message, 'ConsoleError'), stack });
      if (level === 'warn' && settings.captureConsole !== 'error') report({ ...described(message, 'ConsoleWarning'), stack });
      leave('console', `${level}: ${message}`);
    });
  });
  install(settings.captureNetwork, () => {
    captureNetwork(({ method, url, status, milliseconds }) => {
      if (matches(url.href, [`${settings.endpoint}/`, ...settings.ignoreUrls])) return;
      const labels = { method, status: `${status}`, host: url.host };
      measure('counter', 'browser_http_requests_total', 1, labels);
      measure('histogram', 'browser_http_request_duration_ms', milliseconds, labels);
      // Without query and fragment, which may have anything in them.
      const address = url.origin + url.pathname;
      const message = `${method} ${address} ${status ? `answered ${status}` : 'failed'}`;
      if (!status || status >= 500) {
        captureError(message, { type: 'NetworkError', method, url: address, status });
      }
      leave('request', message);
    });
  });
  // In a worker there is none.
  if (typeof document !== 'undefined') {
    install(settings.breadcrumbs, () => {
      captureClicks((element) => leave('click', element));
      captureNavigation((path) => leave('navigation', path));
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
    captureError,
    captureMessage: captureError,
    setUser(id) {
      user = id === null ? {} : { user_id: cut(id, LABEL_MAX) };
    },
    setContext(context) {
      common = { ...common, ...context };
    },
    addBreadcrumb: (message, type = 'custom') => leave(type, message),
    counter: (name, labels, value = 1) => measure('counter', name, value, labels),
    gauge: (name, value, labels) => measure('gauge', name, value, labels),
    histogram: (name, value, labels) => measure('histogram', name, value, labels),
    flush: queue.flush,
    stats: queue.stats,
  };
}
