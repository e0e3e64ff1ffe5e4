// Errors, metrics and Web Vitals of a page, for browser-relay.
import { type Monlight, client } from './client';
import { type MonlightConfig, settingsOf } from './config';

export type { Breadcrumb } from './breadcrumbs';
export type { Context, Labels, Monlight } from './client';
export type { MonlightConfig, Pattern } from './config';
export type { Stats } from './delivery';
export type { Report } from './report';

/** Where a page keeps the one client it has, whichever copy of this script made it. */
const PLACE = Symbol.for('@monlight/browser');
const place = globalThis as { [PLACE]?: Monlight };

/**
 * Starts reporting, and returns the client. A second call returns the first one's client; on a server, and with
 * `enabled: false`, one that does nothing. It never raises: a configuration that makes no sense is said on the console.
 */
export function init(config: MonlightConfig): Monlight {
  try {
    // Pages, workers and extensions; not servers.
    if (config.enabled !== false && typeof self !== 'undefined') return (place[PLACE] ??= client(settingsOf(config)));
  } catch (error) {
    console.error('[monlight] not started:', error);
  }
  return nobody;
}

const nothing = () => undefined;
const nobody: Monlight = {
  captureError: nothing,
  captureMessage: nothing,
  setUser: nothing,
  setContext: nothing,
  addBreadcrumb: nothing,
  counter: nothing,
  gauge: nothing,
  histogram: nothing,
  flush: () => Promise.resolve(true),
  stats: () => ({ sent: 0, lost: 0, waiting: 0 }),
};
