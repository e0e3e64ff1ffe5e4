// What pages and relays do to us, and what a page notices of it: nothing.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pageOf, servePages, standInRelay, startBrowser, waitFor } from './stand.js';

let browser;
beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser.close());

/** A page with the script, at a relay that answers like this; `faults` has what the page noticed. */
async function withPage({ answer, headers, config = {}, body, init, goto = true }, run) {
  const relay = await standInRelay(answer);
  const html = { '/shop': pageOf({ dsn: 'k', endpoint: relay.url, captureVitals: false, ...config }, body), '/next': pageOf({ dsn: 'k', endpoint: relay.url, captureVitals: false }) };
  const pages = await servePages(html, typeof headers === 'function' ? headers(relay) : headers);
  const context = await browser.newContext();
  if (init) await context.addInitScript(init);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  const open = (path = '/shop') => page.goto(pages.url + path);
  if (goto) await open();
  await run({ page, relay, pages, context, open });
  expect(faults).toEqual([]);
  await context.close();
  await Promise.all([relay.stop(), pages.stop()]);
}
/** For pages whose test starts the module itself. */
const MODULE = '<script type="module">import { init } from "/monlight.esm.js"; window.init = init</script>';
const capture = (page, ...messages) => page.evaluate((messages) => messages.forEach((message) => window.Monlight.captureError(new Error(message))), messages);
const stats = (page) => page.evaluate(() => window.Monlight.stats());
const messages = (relay) => relay.errors().map(({ message }) => message);

test.each([
  ['is away for a moment', (count) => (count === 1 ? { fault: 'reset' } : {})],
  ['answers 500', (count) => (count === 1 ? { status: 500 } : {})],
  ['has too many of us', (count) => (count === 1 ? { status: 429, headers: { 'Retry-After': '1' } } : {})],
])('a relay that %s gets it later, once', (_, script) => {
  let count = 0;
  return withPage({ answer: () => script(++count) }, async ({ page, relay }) => {
    await capture(page, 'first', 'second');
    await waitFor('both', () => messages(relay).length === 2);
    expect(messages(relay)).toEqual(['first', 'second']);
    expect(relay.requests).toHaveLength(3);
    expect(relay.requests[0].id).toBe(relay.requests[1].id);
    await waitFor('the counts', async () => (await stats(page)).sent === 2);
  });
});

test.each([401, 413])('a relay that answers %i has decided, and the loss is counted', (status) =>
  withPage({ answer: ({ body }) => (body.message === 'first' ? { status } : {}) }, async ({ page, relay }) => {
    await capture(page, 'first', 'second');
    await waitFor('the second', () => messages(relay).includes('second'));
    // The page hears of the second a moment after the relay has it.
    await waitFor('the counts', async () => (await stats(page)).waiting === 0);
    expect(await stats(page)).toEqual({ sent: 1, lost: 1, waiting: 0 });
  }));

test('a relay that closes in the middle of its answer has taken it', () =>
  withPage({ answer: () => ({ fault: 'half' }) }, async ({ page, relay }) => {
    await capture(page, 'first');
    await waitFor('the request', () => relay.requests.length === 1);
    await waitFor('the counts', async () => (await stats(page)).sent === 1);
    expect(relay.requests).toHaveLength(1);
  }));

test('a relay that never answers holds no page up, and the next page tries again', () => {
  let hangs = true;
  return withPage({ answer: () => (hangs ? { fault: 'hang' } : {}) }, async ({ page, relay, open }) => {
    await capture(page, 'first');
    await waitFor('the request', () => relay.requests.length === 1);
    hangs = false;
    await open('/next');
    await waitFor('it again', () => messages(relay).includes('first'));
    const [one, two] = relay.requests;
    expect(one.id).toBe(two.id);
    expect(await page.evaluate(() => Object.keys(localStorage))).toEqual([]);
  });
});

test('a page that is left at once still reports', () =>
  withPage({}, async ({ page, relay, open }) => {
    await page.evaluate(() => {
      window.Monlight.captureError(new Error('on the way out'));
      window.Monlight.counter('left_total');
      location.href = '/next';
    });
    await page.waitForURL(/next/);
    await waitFor('both', () => messages(relay).includes('on the way out') && relay.metrics().some(({ name }) => name === 'left_total'));
    expect(relay.metrics().filter(({ name }) => name === 'left_total')).toHaveLength(1);
    await open('/next');
    expect(new Set(relay.requests.filter(({ path }) => path.endsWith('errors')).map(({ id }) => id)).size).toBe(1);
  }));

test('a policy without connect-src keeps us out, and the page goes on', () =>
  withPage({ headers: { 'Content-Security-Policy': "default-src 'self' 'unsafe-inline' data:" } }, async ({ page, relay }) => {
    await capture(page, 'unheard');
    await waitFor('the try', async () => (await stats(page)).waiting === 1);
    expect(await page.evaluate(() => fetch('/status/200').then(({ status }) => status))).toBe(200);
    expect(relay.requests).toEqual([]);
  }));

test('a blocker of requests and of beacons', () =>
  withPage({ init: () => { navigator.sendBeacon = () => false; } }, async ({ page, relay, open }) => {
    await page.route(`${relay.url}/**`, (route) => route.abort('blockedbyclient'));
    await capture(page, 'unheard');
    await waitFor('the try', async () => (await stats(page)).waiting === 1);
    await page.unroute(`${relay.url}/**`);
    await open('/next');
    await waitFor('what was left', () => messages(relay).includes('unheard'));
  }));

test('storage that is blocked', () =>
  withPage(
    {
      init: () => {
        for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });
      },
    },
    async ({ page, relay }) => {
      await capture(page, 'first', 'second');
      await waitFor('both', () => messages(relay).length === 2);
      const sessions = relay.errors().map(({ session_id }) => session_id);
      expect(sessions[0]).toMatch(/^[0-9a-f-]{36}$/);
      expect(sessions[0]).toBe(sessions[1]);
    },
  ));

test('values that are hostile', () =>
  withPage({}, async ({ page, relay }) => {
    await page.evaluate(() => {
      const cyclic = {};
      cyclic.self = cyclic;
      const { Monlight } = window;
      Monlight.captureError(new Error('x'.repeat(10_000_000)), cyclic);
      Monlight.captureError({ toString() { throw new Error('no'); } }, { get bad() { throw new Error('no'); } });
      Monlight.captureError(new Error('half a pair \ud800'), { window, document, node: document.body, big: 10n });
      Monlight.captureError();
      Monlight.captureError(null, null);
      Monlight.setUser({ toString() { throw new Error('no'); } });
      Monlight.setContext(7);
      Monlight.setContext({ get bad() { throw new Error('no'); } });
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      Monlight.captureError(proxy, proxy);
      Monlight.captureMessage(proxy);
      console.error(proxy);
      Monlight.addBreadcrumb(Symbol('odd'));
      Monlight.counter('', {});
      Monlight.counter(undefined, null, 'many');
      Monlight.gauge('g', NaN);
      Monlight.histogram('h', 1, { odd: Symbol('x'), deep: {}, ['l'.repeat(1_000)]: 'v'.repeat(10_000) });
      Monlight.counter('\u4e2d'.repeat(70));
      Monlight.counter('good_total', null, 2);
    });
    await waitFor('them', () => relay.errors().length >= 8 && relay.metrics().length >= 2);
    expect(messages(relay)[0]).toHaveLength(4_001);
    expect(messages(relay)).toContain('half a pair \ufffd');
    expect(relay.metrics().map(({ name }) => name)).toEqual(['h', 'good_total']);
    // The services refuse a batch for one name of more than 100 bytes.
    for (const key of Object.keys(relay.metrics()[0].labels)) expect(key.length).toBeLessThanOrEqual(33);
    expect(await stats(page)).toMatchObject({ lost: 4 });
  }));

test('requests of the page stay what they were', () =>
  withPage({}, async ({ page, relay, pages }) => {
    const outcome = await page.evaluate(async () => {
      const name = (work) => work.then(() => 'fine', (error) => error.name);
      const stop = new AbortController();
      const aborted = name(fetch('/slow', { signal: stop.signal }));
      stop.abort();
      const streamed = await fetch(new Request('/slow', { method: 'POST', body: 'x' }));
      const reader = streamed.body.getReader();
      const request = new XMLHttpRequest();
      const events = [];
      for (const type of ['load', 'error', 'abort', 'loadend']) request.addEventListener(type, () => events.push(type));
      await new Promise((done) => {
        request.onloadend = done;
        request.open('PUT', '/status/502?secret=1');
        request.send('x');
      });
      const ended = new XMLHttpRequest();
      ended.open('GET', '/slow');
      ended.send();
      ended.abort();
      return {
        aborted: await aborted,
        url: await fetch(new URL('/status/201', location.href)).then(({ status }) => status),
        chunk: new TextDecoder().decode((await reader.read()).value),
        invalid: await name(fetch('http://[')),
        away: await name(fetch('http://127.0.0.1:1/')),
        events,
        status: request.status,
        kind: String(fetch('/status/204') instanceof Promise),
      };
    });
    expect(outcome).toEqual({ aborted: 'AbortError', url: 201, chunk: 'late', invalid: 'TypeError', away: 'TypeError', events: ['load', 'loadend'], status: 502, kind: 'true' });
    const host = new URL(pages.url).host;
    await waitFor('the values', () => relay.metrics().filter(({ name }) => name === 'browser_http_requests_total').length >= 5);
    const counted = relay.metrics().filter(({ name }) => name === 'browser_http_requests_total').map(({ labels }) => `${labels.method} ${labels.status} ${labels.host}`);
    expect(counted.sort()).toEqual(['GET 0 127.0.0.1:1', `GET 201 ${host}`, `GET 204 ${host}`, `POST 200 ${host}`, `PUT 502 ${host}`].sort());
    await waitFor('the failures', () => relay.errors().length === 2);
    expect(messages(relay).sort()).toEqual(['GET http://127.0.0.1:1/ failed', `PUT ${pages.url}/status/502 answered 502`]);
  }));

test('a rejection of the page that nobody handles is still one', () =>
  withPage({}, async ({ page, relay }) => {
    await page.evaluate(() => {
      window.rejections = [];
      addEventListener('unhandledrejection', (event) => { window.rejections.push(event.reason.name); event.preventDefault(); });
      fetch('http://127.0.0.1:1/');
      fetch('http://127.0.0.1:1/').catch(() => undefined);
    });
    await page.waitForFunction(() => window.rejections.length === 1);
    // Each request failed, and the page did not handle one of the failures.
    await waitFor('the reports', () => relay.errors().length === 3);
    expect(relay.errors().map(({ type }) => type).sort()).toEqual(['Error', 'Error', 'TypeError']);
  }));

test('what is ignored, sampled out, or taken back is not sent', () =>
  withPage(
    { config: { ignoreErrors: ['not ours'], sampleRate: 0, breadcrumbs: false, captureConsole: 'error' } },
    async ({ page, relay }) => {
      await page.evaluate(() => {
        const { Monlight } = window;
        Monlight.captureError(new Error('not ours: 7'));
        Monlight.captureError(new Error('ResizeObserver loop completed with undelivered notifications.'));
        Monlight.counter('sampled_total');
        console.warn('only a warning');
        Monlight.captureError(new Error('ours'));
      });
      await waitFor('ours', () => messages(relay).includes('ours'));
      await page.evaluate(() => window.Monlight.flush());
      expect(messages(relay)).toEqual(['ours']);
      expect(relay.metrics()).toEqual([]);
      expect(relay.errors()[0].context).toEqual({});
    },
  ));

test('beforeSend has the last word', () =>
  withPage({ body: MODULE, config: { enabled: false } }, async ({ page, relay }) => {
    await page.waitForFunction(() => window.init);
    await page.evaluate((endpoint) => {
      const client = window.init({ dsn: 'k', endpoint, beforeSend: (report) => (report.message === 'drop' ? null : { ...report, message: `${report.message}!` }) });
      client.captureError(new Error('drop'));
      client.captureError(new Error('keep'));
    }, relay.url);
    await waitFor('it', () => messages(relay).length === 1);
    expect(messages(relay)).toEqual(['keep!']);
  }));

test('what may not be changed or is taken over by the page stays as it is', () =>
  withPage(
    {
      init: () => {
        Object.defineProperty(window, 'fetch', { value: window.fetch, writable: false });
        Object.freeze(XMLHttpRequest.prototype);
        Object.freeze(history);
        Object.freeze(console);
        for (const kind of [Object, Array, Function, Promise, Error, Map]) Object.freeze(kind.prototype);
      },
    },
    async ({ page, relay }) => {
      expect(await page.evaluate(() => fetch('/status/503').then(({ status }) => status))).toBe(503);
      await page.evaluate(() => {
        console.error('unseen');
        addEventListener('error', (event) => event.preventDefault());
        setTimeout(() => { throw new Error('seen'); });
      });
      await waitFor('it', () => messages(relay).length > 0);
      expect(messages(relay)).toEqual(['seen']);
    },
  ));

test('a beforeSend that raises loses its report, and the loss is counted', () =>
  withPage({ body: MODULE, config: { enabled: false } }, async ({ page, relay }) => {
    await page.waitForFunction(() => window.init);
    const stats = await page.evaluate((endpoint) => {
      const client = window.init({ dsn: 'k', endpoint, captureVitals: false, beforeSend: () => { throw { toString() { throw new Error('no'); } }; } });
      client.captureError(new Error('unseen'));
      return client.stats();
    }, relay.url);
    expect(stats).toEqual({ sent: 0, lost: 1, waiting: 0 });
    expect(relay.requests).toEqual([]);
  }));

test('what is written or said has the stack of its caller, and failing requests that of their page', () =>
  withPage({}, async ({ page, relay }) => {
    await page.addScriptTag({
      content: `function write() { console.error('written'); }
        function say() { window.Monlight.captureMessage('said'); }
        function load() { return fetch('/status/500'); }
        function loadOld() { const request = new XMLHttpRequest(); request.open('GET', '/status/501'); request.send(); }
        write(); say(); load(); loadOld();
        //# sourceURL=app.js`,
    });
    await waitFor('all', () => relay.errors().length === 4);
    const frames = relay.errors().map(({ message, stack }) => [message.replace(/^.*status/, ''), /\n\s+at (\w+) \(app\.js:\d+:\d+\)/.exec(stack)?.[1], stack.split('\n')[1].trim().split(' ')[1]]);
    expect(frames.sort()).toEqual([['/500 answered 500', 'load', 'load'], ['/501 answered 501', 'loadOld', 'loadOld'], ['said', 'say', 'say'], ['written', 'write', 'write']]);
  }));

test('ended with a reason is no failure, too late is one; an object used again counts each time; data is no request', () =>
  withPage({}, async ({ page, relay, pages }) => {
    const outcome = await page.evaluate(async () => {
      const name = (work) => work.then(() => 'fine', (error) => error.name ?? error);
      const stop = new AbortController();
      const ended = name(fetch('/slow', { signal: stop.signal }));
      stop.abort('not needed');
      const late = await name(fetch('/never', { signal: AbortSignal.timeout(20) }));
      await fetch('data:text/plain,secret');
      const request = new XMLHttpRequest();
      for (const path of ['/status/204', '/slow', '/status/205', '/status/206']) {
        await new Promise((done) => {
          request.open('GET', path);
          request.onloadend = done;
          request.send();
          if (path === '/slow') request.abort();
        });
      }
      return [await ended, late];
    });
    expect(outcome).toEqual(['not needed', 'TimeoutError']);
    await page.evaluate(() => window.Monlight.flush());
    const counted = relay.metrics().filter(({ name }) => name === 'browser_http_requests_total').map(({ labels }) => labels.status);
    expect(counted.sort()).toEqual(['0', '204', '205', '206']);
    expect(messages(relay)).toEqual([`GET ${pages.url}/never failed`]);
  }));

test('a copy that comes later leaves a client that was started by hand', () =>
  withPage({ body: '<script>delete window.MonlightConfig; delete window.Monlight</script><script src="/monlight.min.js"></script>', config: { enabled: false } }, async ({ page, relay }) => {
    await page.evaluate((endpoint) => { window.first = window.Monlight.init({ dsn: 'k', endpoint }); }, relay.url);
    await page.addScriptTag({ url: '/monlight.min.js' });
    expect(await page.evaluate(() => [window.Monlight === window.first, window.Monlight.init({ dsn: 'k', endpoint: 'x' }) === window.first])).toEqual([true, true]);
    await capture(page, 'still heard');
    await waitFor('it', () => messages(relay).includes('still heard'));
  }));

test('a second copy changes nothing', () =>
  withPage({ body: `<script src="/monlight.min.js"></script>${MODULE}` }, async ({ page, relay }) => {
    await page.waitForFunction(() => window.init);
    expect(await page.evaluate(() => window.init({ dsn: 'other', endpoint: 'http://127.0.0.1:1' }) === window.Monlight)).toBe(true);
    await page.evaluate(() => console.error('once'));
    await waitFor('it', () => messages(relay).length > 0);
    await page.evaluate(() => window.Monlight.flush());
    expect(messages(relay)).toEqual(['once']);
  }));

test('a configuration that makes no sense is said, and nothing else happens', () =>
  withPage({ body: MODULE, config: { enabled: false } }, async ({ page, relay }) => {
    await page.waitForFunction(() => window.init);
    const said = await page.evaluate(async () => {
      const lines = [];
      console.error = (...written) => lines.push(written.join(' '));
      const client = window.init({ dsn: 'k' });
      client.captureError(new Error('nobody hears'));
      client.counter('x');
      window.init();
      return [lines, await client.flush(), client.stats()];
    });
    expect(said[0]).toEqual([expect.stringContaining('dsn, endpoint: expected text'), expect.stringContaining('[monlight] not started')]);
    expect(said.slice(1)).toEqual([true, { sent: 0, lost: 0, waiting: 0 }]);
    expect(relay.requests).toEqual([]);
  }));

test('in a worker errors and values are reported too', () =>
  withPage({}, async ({ page, relay }) => {
    await page.evaluate((endpoint) => {
      const text = `import { init } from '${location.origin}/monlight.esm.js';
        const client = init({ dsn: 'k', endpoint: '${endpoint}' });
        client.counter('jobs_total');
        client.flush();
        setTimeout(() => { throw new RangeError('in a worker'); });`;
      window.worker = new Worker(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })), { type: 'module' });
      window.worker.onerror = (event) => event.preventDefault();
    }, relay.url);
    await waitFor('both', () => messages(relay).includes('in a worker') && relay.metrics().length === 1);
  }));

test('debug says what happens, on the console of before', () =>
  withPage({ config: { debug: true }, answer: () => ({ status: 401 }) }, async ({ page, relay }) => {
    const lines = [];
    page.on('console', (line) => lines.push(line.text()));
    await capture(page, 'first');
    await waitFor('the line', () => lines.some((line) => line.includes('[monlight] lost 1: refused with 401')));
    expect(relay.requests).toHaveLength(1);
  }));
