// What an application decides, and what counts where it says nothing.
import type { Report } from './report.js';

/** Text that must occur, or an expression that must match. */
export type Pattern = string | RegExp;
export type Patterns = Pattern | readonly Pattern[];

export interface MonlightConfig {
  /** The public key of a project, as browser-relay made it. */
  dsn: string;
  /** Where browser-relay is, such as `https://monitoring.example.com`. */
  endpoint: string;
  /** The version of the application: by it the relay finds the source maps. */
  release?: string;
  /** False: nothing is installed, sent or stored. */
  enabled?: boolean;
  /** Says on the console what is sent, refused and lost. */
  debug?: boolean;
  /** The share of page views that send metrics, 0 to 1. Default 1. */
  sampleRate?: number;
  /** The share of errors that are sent, 0 to 1. Default 1. */
  errorSampleRate?: number;
  /** Exceptions that nothing caught, and rejections that nothing handled. Default true. */
  captureErrors?: boolean;
  /** What is written with `console.error` and `console.warn`, or only the former. Default true. */
  captureConsole?: boolean | 'error';
  /** Count and time `fetch` and `XMLHttpRequest`, and report those that fail or answer 5xx. Default true. */
  captureNetwork?: boolean;
  /** LCP, INP, CLS, FCP, TTFB and the load time of the page. Default true. */
  captureVitals?: boolean;
  /** The last clicks, navigations, requests and console lines, sent with an error. Default true. */
  breadcrumbs?: boolean;
  /** Errors whose `type: message` matches are left out. */
  ignoreErrors?: Patterns;
  /** Errors of scripts at these addresses are left out, and requests to them are not looked at. */
  ignoreUrls?: Patterns;
  /** The last word on a report: changed, as it is, or null to leave it out. */
  beforeSend?: (report: Report) => Report | null;
}

type Optional = 'release' | 'enabled' | 'debug' | 'beforeSend';
export type Settings = Required<Omit<MonlightConfig, Optional>> & Pick<MonlightConfig, Optional>;

/** Settings; raises what is wrong with them, in words. */
export function settingsOf(config: MonlightConfig): Settings {
  const expect = (areMet: boolean, what: string) => {
    if (!areMet) throw new TypeError(what);
  };
  const settings = {
    sampleRate: 1,
    errorSampleRate: 1,
    captureErrors: true,
    captureConsole: true,
    captureNetwork: true,
    captureVitals: true,
    breadcrumbs: true,
    ignoreErrors: [],
    ignoreUrls: [],
    // A setting without a value, as of a variable that is not there, is none.
    ...Object.fromEntries(Object.entries(config).filter(([, value]) => value != null)),
  } as unknown as Settings;
  const { dsn, endpoint, sampleRate, errorSampleRate } = settings;
  expect([dsn, endpoint].every((text) => text && typeof text === 'string'), 'dsn, endpoint: expected text');
  expect([sampleRate, errorSampleRate].every((share) => share >= 0 && share <= 1), 'sampleRate, errorSampleRate: expected 0 to 1');
  settings.endpoint = endpoint.replace(/\/+$/, '');
  return settings;
}

export function matches(text: string, patterns: Patterns | readonly Patterns[]): boolean {
  return [patterns].flat(2).some((pattern) => (typeof pattern === 'string' ? text.includes(pattern) : text.search(pattern) >= 0));
}
