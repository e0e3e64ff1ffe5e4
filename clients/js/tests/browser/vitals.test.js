// Our vitals beside those of the official library, on the same pages.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { servePages, standInRelay, startBrowser, waitFor } from './stand.js';

let browser;
let relay;
let pages;
const html = {};
beforeAll(async () => {
  [browser, relay, pages] = await Promise.all([startBrowser(), standInRelay(), servePages(html)]);
  html['/shop'] = `<!doctype html><link rel="icon" href="data:,"><style>body { margin: 0 } div { height: 60px }</style>
    <script>window.MonlightConfig = { dsn: 'k', endpoint: ${JSON.stringify(relay.url)} }</script>
    <script src="/monlight.min.js"></script><script src="/web-vitals.js"></script>
    <script>
      // The page ends before it can be asked.
      const note = ({ name, value }) => localStorage.setItem('official ' + name, value);
      webVitals.onLCP(note); webVitals.onINP(note); webVitals.onCLS(note); webVitals.onFCP(note); webVitals.onTTFB(note);
    </script>
    <h1>A shop</h1><div id="late"></div><p>${'text that moves '.repeat(40)}</p><button>Pay</button>
    <script>
      const busy = (milliseconds) => { const end = performance.now() + milliseconds; while (performance.now() < end); };
      const grow = (delay, height) => setTimeout(() => { document.querySelector('#late').style.height = height + 'px'; }, delay);
      // Two windows of shifts: a second and more lies between them.
      grow(100, 120); grow(300, 180); grow(1700, 400); grow(1900, 460);
      setTimeout(() => { const large = document.createElement('h1'); large.style.fontSize = '90px'; large.textContent = 'The largest text of the page'; document.body.append(large); }, 200);
      setTimeout(() => { window.isReady = true; }, 2100);
      let presses = 0;
      window.slowClicks = 0;
      new PerformanceObserver((list) => { for (const { name } of list.getEntries()) if (name === 'click') window.slowClicks++; }).observe({ type: 'event', durationThreshold: 40 });
      document.querySelector('button').addEventListener('click', () => busy([120, 60, 200][presses++ % 3]));
    </script>`;
});
afterAll(async () => {
  await Promise.all([browser.close(), relay.stop(), pages.stop()]);
});

const ours = () => Object.fromEntries(relay.metrics().map(({ name, value }) => [name.replace('web_vitals_', '').toUpperCase(), value]));
const official = (page) =>
  page.evaluate(() => Object.fromEntries(Object.entries(localStorage).filter(([name]) => name.startsWith('official ')).map(([name, value]) => [name.slice(9), Number(value)])));

/** Loads the page, uses it, and leaves it. */
async function visit(use) {
  relay.requests.length = 0;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${pages.url}/shop`);
  await page.waitForFunction(() => window.isReady);
  await use(page);
  await page.goto(`${pages.url}/status/404`);
  await waitFor('the beacon', () => relay.metrics().some(({ name }) => name === 'web_vitals_cls'));
  const expected = await official(page);
  await context.close();
  return [ours(), expected];
}

test('a page that is only looked at', async () => {
  const [seen, expected] = await visit(() => undefined);
  expect(Object.keys(expected).sort()).toEqual(['CLS', 'FCP', 'LCP', 'TTFB']);
  for (const [name, value] of Object.entries(expected)) expect(seen[name], name).toBeCloseTo(value, 3);
  expect(seen.CLS).toBeGreaterThan(0.01);
  expect(seen.INP).toBeUndefined();
  expect(seen.PAGE_LOAD_TIME).toBeGreaterThan(0);
});

test('a page that is used', async () => {
  const [seen, expected] = await visit(async (page) => {
    for (let press = 0; press < 3; press++) {
      await page.click('button');
      // Until something is drawn an interaction is not over.
      await waitFor('the browser to have timed it', async () => {
        await page.mouse.move(5 + Math.random() * 50, 5);
        return page.evaluate((press) => {
          document.querySelector('#late').append('paid ');
          return window.slowClicks > press;
        }, press);
      });
    }
  });
  expect(Object.keys(expected).sort()).toEqual(['CLS', 'FCP', 'INP', 'LCP', 'TTFB']);
  for (const [name, value] of Object.entries(expected)) expect(seen[name], name).toBeCloseTo(value, 3);
  expect(seen.INP).toBeGreaterThanOrEqual(200);
});

test('a page that is hidden and seen again reports each vital once', async () => {
  relay.requests.length = 0;
  const page = await browser.newPage();
  await page.goto(`${pages.url}/shop`);
  await page.waitForFunction(() => window.isReady);
  await page.evaluate(() => {
    const show = (state) => {
      Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    };
    for (const state of ['hidden', 'visible', 'hidden', 'visible']) show(state);
  });
  await page.goto('about:blank');
  await waitFor('the beacons', () => relay.metrics().some(({ name }) => name === 'web_vitals_cls'));
  const names = relay.metrics().map(({ name }) => name);
  expect(names.sort()).toEqual(['page_load_time', 'web_vitals_cls', 'web_vitals_fcp', 'web_vitals_lcp', 'web_vitals_ttfb']);
  await page.close();
});
