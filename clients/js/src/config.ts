// What an application decides, and what counts where it says nothing.
import type { Report } from './report';

/** Text that must occur, or an expression that must match. */
export type Pattern = string | RegExp;

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
  ignoreErrors?: readonly Pattern[];
  /** Errors of scripts at these addresses are left out, and requests to them are not looked at. */
  ignoreUrls?: readonly Pattern[];
  /** The last word on a report: changed, as it is, or null to leave it out. */
  beforeSend?: (report: Report) => Report | null;
}

type Optional = 'release' | 'enabled' | 'debug' | 'beforeSend';
export type Settings = Required<Omit<MonlightConfig, Optional>> & Pick<MonlightConfig, Optional>;

/** Settings; raises what is wrong with them, in words. */
export function settingsOf(config: MonlightConfig): Settings {
  const { dsn, endpoint, sampleRate = 1, errorSampleRate = 1 } = config;
  const expect = (areMet: boolean, what: string) => {
    if (!areMet) throw new TypeError(what);
  };
  expect([dsn, endpoint].every((text) => text && typeof text === 'string'), 'dsn, endpoint: expected text');
  expect([sampleRate, errorSampleRate].every((share) => share >= 0 && share <= 1), 'sampleRate, errorSampleRate: expected 0 to 1');
  return {
    captureErrors: true,
    captureConsole: true,
    captureNetwork: true,
    captureVitals: true,
    breadcrumbs: true,
    ignoreErrors: [],
    ignoreUrls: [],
    ...config,
    sampleRate,
    errorSampleRate,
    endpoint: endpoint.replace(/\/+$/, ''),
  };
}

export function matches(text: string, patterns: readonly Pattern[]): boolean {
  return patterns.some((pattern) => (typeof pattern === 'string' ? text.includes(pattern) : text.search(pattern) >= 0));
}
