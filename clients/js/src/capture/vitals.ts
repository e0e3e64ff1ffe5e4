// Web Vitals, as https://web.dev/articles/vitals and the specifications behind it define them. Each is reported once for a page view.
import { safely } from '../safely.js';
import { listen } from './install.js';

type Vital = 'lcp' | 'inp' | 'cls' | 'fcp' | 'ttfb';

/** Shifts less than a second apart belong together, for at most five: https://web.dev/articles/cls */
const SHIFT_GAP_MS = 1_000;
const SHIFTS_MS = 5_000;
/** One of so many interactions may be an outlier: https://web.dev/articles/inp */
const INTERACTIONS_PER_OUTLIER = 50;
/** The longest ones that are remembered: enough for 500 interactions. */
const LONGEST_MAX = 10;
/** Shorter interactions are no concern of INP; the browser rounds to 8 ms. */
const INTERACTION_MS = 40;

type Shift = PerformanceEntry & { value: number; hadRecentInput: boolean };
type Interaction = PerformanceEventTiming & { interactionId?: number };

/** `seen` gets the name of a metric, and milliseconds, and for `web_vitals_cls` a score. */
export function captureVitals(seen: (metric: string, value: number) => void): void {
  const start = () => {
    const navigation = performance.getEntriesByType('navigation')[0] as PerformanceNavigationTiming & { activationStart?: number };
    // A page that was made ready in advance begins when it is shown.
    const begin = navigation.activationStart ?? 0;
    const since = (time: number) => Math.max(0, time - begin);
    // What is not seen does not count.
    let hiddenAt = document.visibilityState === 'hidden' && !begin ? 0 : Infinity;

    const once = new Set<Vital>();
    const report = (name: Vital, value: number | undefined) => {
      if (value === undefined || once.has(name)) return;
      once.add(name);
      seen(`web_vitals_${name}`, value);
    };

    const pending: (() => void)[] = [];
    const observe = <E extends PerformanceEntry>(type: string, work: (entries: E[]) => void, options = {}) => {
      if (!PerformanceObserver.supportedEntryTypes.includes(type)) return;
      const observer = new PerformanceObserver((list) => work(list.getEntries() as E[]));
      observer.observe({ type, buffered: true, ...options });
      pending.push(() => work(observer.takeRecords() as E[]));
    };

    let lcp: number | undefined;
    let [firstShift, lastShift, shifted] = [0, 0, 0];
    let cls: number | undefined;
    let longest: [id: number, duration: number][] = [];

    observe('paint', (entries) => {
      for (const { name, startTime } of entries) {
        if (name !== 'first-contentful-paint' || startTime >= hiddenAt) continue;
        report('fcp', since(startTime));
        // Without a paint nothing can shift.
        cls ??= 0;
      }
    });
    observe('largest-contentful-paint', (entries) => {
      for (const { startTime } of entries) if (startTime < hiddenAt && !once.has('lcp')) lcp = since(startTime);
    });
    observe<Shift>('layout-shift', (entries) => {
      for (const { value, startTime, hadRecentInput } of entries) {
        if (hadRecentInput) continue;
        if (startTime - lastShift >= SHIFT_GAP_MS || startTime - firstShift >= SHIFTS_MS || !shifted) [firstShift, shifted] = [startTime, 0];
        [lastShift, shifted] = [startTime, shifted + value];
        cls = Math.max(cls ?? 0, shifted);
      }
    });
    const interacted = (entries: Interaction[]) => {
      for (const { interactionId: id, duration } of entries) {
        // A key held down is many events, and one interaction.
        const known = longest.find((one) => one[0] === id);
        if (known) known[1] = Math.max(known[1], duration);
        else if (id) longest.push([id, duration]);
        longest = longest.sort((a, b) => b[1] - a[1]).slice(0, LONGEST_MAX);
      }
    };
    observe('event', interacted, { durationThreshold: INTERACTION_MS });
    observe('first-input', interacted);

    // Where a browser does not count them, the longest is taken.
    const counted = () => (performance as { interactionCount?: number }).interactionCount ?? 0;
    let earlier = 0;
    const inp = () => longest[Math.min(longest.length - 1, Math.floor((counted() - earlier) / INTERACTIONS_PER_OUTLIER))]?.[1];
    const finishLcp = () => {
      pending.forEach((work) => work());
      report('lcp', lcp);
    };
    const hide = () => {
      finishLcp();
      report('cls', cls);
      report('inp', inp());
      hiddenAt = Math.min(hiddenAt, performance.now());
    };

    report('ttfb', since(navigation.responseStart));
    const loaded = () => setTimeout(() => seen('page_load_time', since(navigation.loadEventEnd)));
    if (document.readyState === 'complete') loaded();
    else listen(globalThis, 'load', loaded);
    // Before the listeners that send.
    listen(document, 'visibilitychange', () => document.visibilityState === 'hidden' && hide());
    listen(globalThis, 'pagehide', hide);
    // After the first input the largest paint may be the viewer's doing.
    for (const type of ['keydown', 'click']) listen(globalThis, type, ({ isTrusted }) => isTrusted && setTimeout(finishLcp));
    // Shown again out of the browser's memory: a page view of its own, that was there at once.
    listen<PageTransitionEvent>(globalThis, 'pageshow', ({ persisted, timeStamp }) => {
      if (!persisted) return;
      once.clear();
      longest = [];
      earlier = counted();
      [shifted, cls, lcp, hiddenAt] = [0, 0, undefined, Infinity];
      report('ttfb', 0);
      requestAnimationFrame(() =>
        requestAnimationFrame(() => {
          report('fcp', performance.now() - timeStamp);
          report('lcp', performance.now() - timeStamp);
        }),
      );
    });
  };

  if ((document as { prerendering?: boolean }).prerendering) listen(document, 'prerenderingchange', safely(start));
  else start();
}
