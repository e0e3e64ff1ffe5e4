// Errors, metrics and Web Vitals of a page, for browser-relay.
import { type Monlight, client } from './client.js';
import { type MonlightConfig, settingsOf } from './config.js';

export type { Breadcrumb } from './breadcrumbs.js';
export type { Context, Labels, Monlight } from './client.js';
export type { MonlightConfig, Pattern, Patterns } from './config.js';
export type { Stats } from './delivery.js';
export type { Report } from './report.js';

/** Where a page keeps the one client it has, whichever copy of this script made it. */
const PLACE = Symbol.for('@monlight/browser');
const place = globalThis as { [PLACE]?: Monlight };

/**
 * Starts reporting, and returns the client. A second call returns the first one's client; on a server, and with
 * `enabled: false`, one that does nothing. It never raises: a configuration that makes no sense is said on the console.
 */
export function init(config: MonlightConfig): Monlight {
  try {
    // Pages, workers and extensions have an address; servers, which may be workers too, have none.
    if (config.enabled !== false && typeof location !== 'undefined') return (place[PLACE] ??= client(settingsOf(config)));
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
