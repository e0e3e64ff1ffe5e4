// Pages that really fail, against the real services.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pageOf, servePages, startBrowser, startServices, waitFor, waitForPaint } from './stand.js';

const OUTAGE_MS = 10_000;
const PER_SECOND = 50;

let browser;
let services;
let pages;
const html = {};
beforeAll(async () => {
  [browser, services, pages] = await Promise.all([startBrowser(), startServices(), servePages(html)]);
  html['/shop'] = html['/vitals'] = pageOf({ ...services.config, release: '1.4.0' });
});
afterAll(async () => {
  await browser.close();
  await Promise.all([services.stop(), pages.stop()]);
});

const group = (message) => waitFor(message, async () => (await services.errors()).find((error) => error.message === message));

test('an exception arrives with what happened before it', async () => {
  const page = await browser.newPage();
  await page.goto(`${pages.url}/shop`);
  await page.evaluate(() => {
    document.body.innerHTML = '<button id="pay" class="primary">Pay 40 euros</button>';
    document.querySelector('#pay').onclick = async () => {
      history.pushState(null, '', '/pay?card=4111');
      await fetch('/status/404?card=4111');
      console.info('paying');
      setTimeout(() => { throw new TypeError('card is undefined'); });
    };
    window.Monlight.setUser(42);
  });
  await page.click('#pay');
  const { id } = await group('card is undefined');
  const { traceback, occurrences } = await services.error(id);
  expect(traceback).toMatch(/^TypeError: card is undefined\n\s+at /);
  const [{ extra }] = occurrences;
  expect(extra).toMatchObject({ release: '1.4.0', context: { user_id: '42' } });
  const trail = extra.context.breadcrumbs.map(({ type, message }) => [type, message]);
  const host = new URL(pages.url).origin;
  expect(trail).toEqual([
    ['click', 'button#pay.primary'],
    ['navigation', '/pay'],
    ['request', `GET ${host}/status/404 answered 404`],
    ['console', 'info: paying'],
  ]);
  await page.close();
});

test('the vitals of a page that ends arrive, each once', async () => {
  const page = await browser.newPage();
  await page.goto(`${pages.url}/vitals`);
  await waitForPaint(page);
  await page.goto('about:blank');
  for (const name of ['lcp', 'fcp', 'ttfb', 'cls']) {
    await waitFor(name, async () => (await services.metric(`web_vitals_${name}&labels=page:/vitals`)).count === 1);
  }
  // The whole profile ends with it, and beacons that are under way.
  await page.close();
});

test('a relay that is killed for ten seconds loses nothing and doubles nothing', async () => {
  const page = await browser.newPage();
  await page.goto(`${pages.url}/shop`);
  // Every fiftieth of a second a value, and every half one an error of its own.
  await page.evaluate((gap) => {
    window.made = { values: 0, errors: 0 };
    window.making = setInterval(() => {
      window.Monlight.counter('orders_total', { city: 'berlin' });
      window.made.values++;
      if (window.made.values % 25 === 0) {
        window.made.errors++;
        window.Monlight.captureError(new Error(`outage ${window.made.errors}`));
      }
    }, gap);
  }, 1_000 / PER_SECOND);
  const sent = () => page.evaluate(() => window.Monlight.stats().sent);
  await waitFor('the first ones', async () => (await sent()) > 50);
  await services.killRelay();
  await page.waitForTimeout(OUTAGE_MS);
  await services.startRelay();
  const before = await sent();
  await waitFor('more', async () => (await sent()) > before + 100);
  const made = await page.evaluate(async () => {
    clearInterval(window.making);
    return window.made;
  });
  // A request that hangs is given up after fifteen seconds.
  await waitFor('everything', () => page.evaluate(() => window.Monlight.flush()), 60_000);
  const stats = await page.evaluate(() => window.Monlight.stats());
  expect(stats).toMatchObject({ lost: 0, waiting: 0 });
  await waitFor('the values', async () => (await services.metric('orders_total')).sum >= made.values);
  expect((await services.metric('orders_total')).sum).toBe(made.values);
  // One group: numbers do not tell errors apart.
  await waitFor('the errors', async () => (await group('outage 1')).count >= made.errors);
  expect((await group('outage 1')).count).toBe(made.errors);
  await page.close();
});
