// What waits to be sent, and how it gets there: one request at a time, tried again until it is taken, handed to the browser when the page ends.
import { type Leftovers, type Parcel } from './leftovers.js';
import type { Plain } from './plain.js';
import { randomId } from './random.js';
import { debug, safely } from './safely.js';

export interface MetricItem {
  name: string;
  type: 'counter' | 'histogram' | 'gauge';
  value: number;
  timestamp: string;
  labels: { [name: string]: Plain };
}

export interface Stats {
  /** Errors and values that the relay has taken, or the browser promised to hand over. */
  sent: number;
  /** Errors and values that had no room, or were refused for good. */
  lost: number;
  /** Errors and values that wait. */
  waiting: number;
}

export interface Delivery {
  error: (body: string) => void;
  metric: (item: MetricItem) => void;
  /** Counts what cannot be sent, and says why. */
  lose: (count: number, why: string) => void;
  /** Sends what waits; true when nothing is left. */
  flush: () => Promise<boolean>;
  /** The page is hidden or ends, perhaps for good; or it is seen again. */
  hide: (isHidden: boolean) => void;
  /** The network is there again. */
  retry: () => unknown;
  stats: () => Stats;
}

const METRICS_INTERVAL_MS = 5_000;
/** So many values do not wait for the interval. */
const METRICS_SOON = 10;
/** So long a request takes no more values: the relay takes 64 KB, one more may have 8 KB, and a character three bytes. */
const METRICS_TEXT_MAX = 12_000;
/** Values that wait for a relay that is away: forty seconds of fifty each, longer than the pauses after ten seconds without it. Some hundred KB. */
const METRICS_MAX = 2_000;
/** Requests that wait: forty seconds of two errors each, most of a few KB. */
const PARCELS_MAX = 80;
/** A relay answers within five seconds, be its back ends there or not. */
const PATIENCE_MS = 15_000;
/** What the relay says with 502. */
const REFUSED_BEHIND = 'Upstream';
/** A relay that fails so often at a request will never take it; the next ones may be better. */
const BROKEN_MAX = 5;
/** The first wait; doubles up to the longest. */
const WAIT_MS = 1_000;
const WAIT_MAX_MS = 300_000;

export function delivery({ endpoint, dsn }: { endpoint: string; dsn: string }, leftovers: Leftovers): Delivery {
  // The browser's own, whatever the page or we put around it later.
  const post = fetch.bind(globalThis);
  let parcels = leftovers.take().slice(-PARCELS_MAX);
  const metrics: MetricItem[] = [];
  /** What the browser was handed: a page is hidden twice before it ends. */
  const handed = new WeakSet<Parcel>();
  let underWay: Parcel | undefined;
  let sending: Promise<void> | undefined;
  let failures = 0;
  let sent = 0;
  let lost = 0;
  let areMetricsDue = false;
  let isHidden = false;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let metricsTimer: ReturnType<typeof setTimeout> | undefined;

  const lose = (count: number, why: string) => {
    lost += count;
    debug.log?.(`lost ${count}:`, why);
  };
  const remove = (parcel: Parcel) => {
    parcels = parcels.filter((other) => other !== parcel);
  };

  /** The metrics so far become requests, whose contents stay: a repeat has to be one. */
  const pack = () => {
    clearTimeout(metricsTimer);
    metricsTimer = undefined;
    areMetricsDue = false;
    while (metrics.length > 0) {
      const batch: string[] = [];
      let length = 0;
      while (metrics.length > 0 && length < METRICS_TEXT_MAX) {
        const text = JSON.stringify(metrics.shift());
        batch.push(text);
        length += text.length;
      }
      add('metrics', `{"metrics":[${batch.join()}]}`, batch.length);
    }
  };
  const add = (path: Parcel['path'], body: string, count: number) => {
    parcels.push({ path, body, count, id: randomId(), at: Date.now() });
    // What is under way may have arrived.
    const oldest = parcels.find((parcel) => parcel !== underWay);
    if (oldest && parcels.length > PARCELS_MAX) {
      remove(oldest);
      lose(oldest.count, 'no room');
    }
  };

  const urlOf = (parcel: Parcel) => `${endpoint}/api/browser/${parcel.path}`;

  /** Seconds to wait before another try; undefined when the relay has decided. */
  const attempt = async (parcel: Parcel): Promise<number | undefined> => {
    try {
      const answer = await post(urlOf(parcel), {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Monlight-Key': dsn, 'Idempotency-Key': parcel.id },
        body: parcel.body,
        keepalive: true,
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const { status } = answer;
      if (answer.ok) {
        sent += parcel.count;
        debug.log?.('sent', parcel.path, parcel.count);
        return undefined;
      }
      // A proxy says 502 while the relay restarts; the relay itself says so where a service behind it refuses for good.
      const isRefused = status === 502 && (await answer.text()).includes(REFUSED_BEHIND);
      const isBroken = status === 500 && failures >= BROKEN_MAX - 1;
      if (isRefused || isBroken || (status !== 408 && status !== 429 && status < 500)) {
        lose(parcel.count, `refused with ${status}`);
        return undefined;
      }
      debug.log?.('later:', status);
      return Number(answer.headers.get('Retry-After')) || 0;
    } catch (error) {
      debug.log?.('later:', error);
      return 0;
    }
  };

  const drain = async () => {
    // Until here `send` has noted that this is under way.
    await Promise.resolve();
    clearTimeout(retryTimer);
    for (;;) {
      // While the relay is away they gather, for few requests when it is back.
      if (parcels.length === 0 && areMetricsDue) pack();
      const [parcel] = parcels;
      underWay = parcel;
      if (!parcel) break;
      const seconds = await attempt(parcel);
      if (seconds !== undefined) {
        const wait = Math.min(WAIT_MAX_MS, Math.max(seconds * 1_000, WAIT_MS * 2 ** failures++));
        retryTimer = setTimeout(send, wait * (1 + Math.random() / 2));
        break;
      }
      failures = 0;
      remove(parcel);
    }
    sending = underWay = undefined;
    if (isHidden) leftovers.keep(parcels);
  };
  const send = () => (sending ??= drain());
  /** Sends, unless the relay was away a moment ago. */
  const sendUnlessAway = () => {
    if (failures === 0) void send();
  };

  sendUnlessAway();
  return {
    error(body) {
      add('errors', body, 1);
      sendUnlessAway();
    },
    metric(item) {
      metrics.push(item);
      if (metrics.length > METRICS_MAX) {
        metrics.shift();
        lose(1, 'no room');
      }
      const due = () => {
        areMetricsDue = true;
        sendUnlessAway();
      };
      if (metrics.length >= METRICS_SOON) due();
      else metricsTimer ??= setTimeout(due, METRICS_INTERVAL_MS);
    },
    lose,
    async flush() {
      pack();
      await send();
      return parcels.length === 0;
    },
    hide(hidden) {
      isHidden = hidden;
      if (!hidden) {
        leftovers.keep([]);
        return sendUnlessAway();
      }
      pack();
      // A request that fails may do so because the page ends. So the browser gets everything, and where it is not sure that it
      // arrives the next page sends it again, with the same key.
      const isSure = failures === 0 && navigator.onLine;
      for (const parcel of parcels.filter((parcel) => parcel !== underWay && !handed.has(parcel))) {
        const url = `${urlOf(parcel)}?key=${encodeURIComponent(dsn)}&idempotency_key=${parcel.id}`;
        // Blockers and settings of browsers take it away.
        if (!safely(() => navigator.sendBeacon(url, new Blob([parcel.body], { type: 'application/json' })))()) break;
        handed.add(parcel);
        if (isSure) {
          sent += parcel.count;
          remove(parcel);
        }
      }
      leftovers.keep(parcels);
    },
    retry: send,
    stats: () => ({ sent, lost, waiting: parcels.reduce((sum, { count }) => sum + count, metrics.length) }),
  };
}
