// What pages written for version 0.2 count on. Nothing here uses what is newer.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { pageOf, servePages, standInRelay, startBrowser, waitFor, waitForPaint } from './stand.js';

let browser;
let relay;
let pages;
const html = {};
beforeAll(async () => {
  [browser, pages] = await Promise.all([startBrowser(), servePages(html)]);
});
// One for each test: a page that is closed sends what it has, and that may come late.
beforeEach(async () => {
  relay = await standInRelay();
  html['/shop'] = pageOf({ dsn: 'the key', endpoint: `${relay.url}//`, release: '1.4.0' });
  html['/module'] = `<!doctype html><link rel="icon" href="data:,"><script type="module">
    import { init } from '/monlight.esm.js';
    window.client = init({ dsn: 'the key', endpoint: ${JSON.stringify(relay.url)} });
  </script>`;
});
afterEach(() => relay.stop());
afterAll(async () => {
  await Promise.all([browser.close(), pages.stop()]);
});

/** Runs `work` in a fresh page, and gives what the relay got for it. */
async function visit(path, work, until) {
  relay.requests.length = 0;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(pages.url + path);
  await page.evaluate(work);
  await waitFor('what was sent', until);
  const left = { page, url: page.url(), agent: await page.evaluate(() => navigator.userAgent), session: await page.evaluate(() => sessionStorage.getItem('monlight_session_id') ?? Object.values(sessionStorage)[0]) };
  await context.close();
  return left;
}
const oneError = () => relay.errors().length > 0;

test('an uncaught exception is posted at once, with everything that names it', async () => {
  const { url, agent } = await visit('/shop?step=2#top', () => setTimeout(() => { throw new TypeError('no such order'); }), oneError);
  const [{ headers, method }] = relay.requests;
  expect(method).toBe('POST');
  expect(headers['content-type']).toBe('application/json');
  expect(headers['x-monlight-key']).toBe('the key');
  const [error] = relay.errors();
  expect(error).toMatchObject({ type: 'TypeError', message: 'no such order', url, user_agent: agent, release: '1.4.0' });
  expect(url).toMatch(/\?step=2#top$/);
  expect(error.stack).toMatch(/^TypeError: no such order\n\s+at /);
  expect(error.session_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(error.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(error.context).toBeTypeOf('object');
});

test('a rejection that nobody handles', async () => {
  await visit('/shop', () => void Promise.reject(new RangeError('too far')), oneError);
  expect(relay.errors()[0]).toMatchObject({ type: 'RangeError', message: 'too far' });
  await visit('/shop', () => void Promise.reject('only text'), oneError);
  expect(relay.errors()[0]).toMatchObject({ type: 'UnhandledRejection', message: 'only text', stack: '' });
});

test('the console', async () => {
  await visit('/shop', () => { console.error('broken:', 7); console.warn('soon broken'); }, () => relay.errors().length === 2);
  expect(relay.errors().map(({ type, message }) => [type, message])).toEqual([['ConsoleError', 'broken: 7'], ['ConsoleWarning', 'soon broken']]);
});

test('requests that fail are counted, timed and reported', async () => {
  await visit('/shop', () => fetch('/status/503?token=secret').then(() => undefined), () => oneError() && relay.metrics().some(({ name }) => name === 'browser_http_request_duration_ms'));
  expect(relay.errors()[0]).toMatchObject({ type: 'Error', context: { type: 'NetworkError' } });
  expect(JSON.stringify(relay.errors())).not.toContain('secret');
  const host = new URL(pages.url).host;
  const values = relay.metrics().filter(({ name }) => name.startsWith('browser_http'));
  expect(values.map(({ name, type }) => [name, type])).toEqual([['browser_http_requests_total', 'counter'], ['browser_http_request_duration_ms', 'histogram']]);
  for (const { labels, timestamp } of values) {
    expect(labels).toMatchObject({ method: 'GET', status: '503', host, page: '/shop' });
    expect(labels.session_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(timestamp).toMatch(/\.\d{3}Z$/);
  }
});

test('the same error again is sent once', async () => {
  await visit(
    '/shop',
    () => {
      const fail = (n) => setTimeout(() => { throw new Error(`again ${n}`); });
      for (let n = 0; n < 5; n++) fail(1);
      setTimeout(() => fail(2), 50);
    },
    () => relay.errors().some(({ message }) => message === 'again 2'),
  );
  expect(relay.errors().map(({ message }) => message)).toEqual(['again 1', 'again 2']);
});

test('a page that ends hands its metrics to a beacon, with the key in the query', async () => {
  const page = await browser.newPage();
  await page.goto(`${pages.url}/shop`);
  await waitForPaint(page);
  await page.goto('about:blank');
  const beacon = await waitFor('the beacon', () => relay.requests.find(({ query }) => query.has('key')));
  expect(beacon).toMatchObject({ method: 'POST', path: '/api/browser/metrics' });
  expect(beacon.query.get('key')).toBe('the key');
  expect(beacon.headers['content-type']).toBe('application/json');
  expect(beacon.headers['x-monlight-key']).toBeUndefined();
  const names = relay.metrics().map(({ name }) => name);
  for (const name of ['web_vitals_lcp', 'web_vitals_cls', 'web_vitals_fcp', 'web_vitals_ttfb', 'page_load_time']) expect(names).toContain(name);
  for (const { type } of relay.metrics()) expect(type).toBe('histogram');
  await page.close();
});

test('init of the module, and the client of the script tag', async () => {
  const { page } = await visit('/module', () => window.client.captureError(new Error('by hand'), { cart: [1, 2] }), oneError);
  expect(relay.errors()[0]).toMatchObject({ type: 'Error', message: 'by hand', context: { cart: [1, 2] } });
  expect(page).toBeDefined();
  await visit('/shop', () => { window.Monlight.setUser('u-7'); window.Monlight.captureError(new Error('of somebody')); }, oneError);
  expect(relay.errors()[0].context.user_id).toBe('u-7');
});

test('a session is one tab', async () => {
  const page = await browser.newPage();
  const sessionOf = async (message) => {
    await page.goto(`${pages.url}/shop`);
    await page.evaluate((message) => window.Monlight.captureError(new Error(message)), message);
    return (await waitFor(message, () => relay.errors().find((error) => error.message === message))).session_id;
  };
  expect(await sessionOf('first page')).toBe(await sessionOf('second page'));
  await page.close();
});
