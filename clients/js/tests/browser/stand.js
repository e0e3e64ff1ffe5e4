// What the tests in a browser stand on: pages on an origin of their own, the services, and a relay that does what a test says.
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { KEY, startBrowser, startService, waitFor } from '../../../../ui/tests/harness.mjs';

export { startBrowser, startService, waitFor };

const dist = (name) => readFileSync(new URL(`../../dist/${name}`, import.meta.url), 'utf8');
const SCRIPTS = {
  '/monlight.min.js': dist('monlight.min.js'),
  '/monlight.esm.js': dist('monlight.esm.js'),
  '/web-vitals.js': readFileSync(new URL('../../node_modules/web-vitals/dist/web-vitals.iife.js', import.meta.url), 'utf8'),
};

/** A page that ends before it is drawn has no vitals. */
export async function waitForPaint(page) {
  await page.evaluate(
    () => new Promise((seen) => new PerformanceObserver(seen).observe({ type: 'largest-contentful-paint', buffered: true })),
  );
}

/** A server on a free port; `url` has no slash at its end. */
export async function serve(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    port: server.address().port,
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/** Serves pages: `html` by path, and the built scripts. `/slow` answers late, `/never` not at all, `/status/503` with that status. */
export function servePages(html, headers = {}) {
  return serve((request, response) => {
    const path = new URL(request.url, 'http://x').pathname;
    const status = /^\/status\/(\d+)/.exec(path)?.[1];
    if (status) response.writeHead(Number(status)).end('no');
    else if (path === '/slow') setTimeout(() => response.end('late'), 500);
    else if (path === '/never') return;
    else if (SCRIPTS[path]) response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(SCRIPTS[path]);
    else if (html[path]) response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...headers }).end(html[path]);
    else response.writeHead(404).end();
  });
}

/** A page that starts as the published script tag does, and then runs `body`. */
export function pageOf(config, body = '') {
  return `<!doctype html><title>shop</title><link rel="icon" href="data:,"><script>window.MonlightConfig = ${JSON.stringify(config)}</script>
<script src="/monlight.min.js"></script><body><h1>A shop</h1>${body}</body>`;
}

/** A relay that keeps what it gets. `answer(request)` may give a status, headers, or `'hang'`, `'reset'`, `'half'`. */
export async function standInRelay(answer = () => ({})) {
  const requests = [];
  const server = await serve(async (request, response) => {
    const url = new URL(request.url, 'http://x');
    const cors = {
      'Access-Control-Allow-Origin': request.headers.origin ?? '*',
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Allow-Headers': 'X-Monlight-Key, Content-Type, Idempotency-Key',
      'Access-Control-Allow-Methods': 'POST, OPTIONS',
      'Access-Control-Expose-Headers': 'Retry-After',
    };
    if (request.method === 'OPTIONS') return response.writeHead(204, cors).end();
    let text = '';
    try {
      for await (const chunk of request) text += chunk;
    } catch (fault) {
      // The page, or the test, ended in the middle: no request that anybody got.
      if (!request.complete) return undefined;
      throw fault;
    }
    const id = request.headers['idempotency-key'] ?? url.searchParams.get('idempotency_key');
    const seen = { id, method: request.method, path: url.pathname, query: url.searchParams, headers: request.headers, body: JSON.parse(text) };
    const { status = 201, headers = {}, fault } = answer(seen) ?? {};
    requests.push({ ...seen, status: fault ?? status });
    if (fault === 'hang') return undefined;
    if (fault === 'reset') return request.socket.destroy();
    response.writeHead(status, { ...cors, ...headers, ...(fault === 'half' && { 'Content-Length': 100 }) });
    if (fault === 'half') return response.write('{"id"', () => request.socket.destroy());
    return response.end('{}');
  });
  // As the real one does, it counts a repeat once.
  const of = (kind) => {
    const taken = requests.filter(({ path, status }) => path === `/api/browser/${kind}` && status < 300);
    return taken.filter(({ id }, at) => taken.findIndex((other) => other.id === id) === at);
  };
  return {
    ...server,
    requests,
    /** Bodies of the errors that were taken. */
    errors: () => of('errors').map(({ body }) => body),
    /** Values that were taken. */
    metrics: () => of('metrics').flatMap(({ body }) => body.metrics),
  };
}

/** Below those that the system gives away by itself: nobody has it when the relay comes back. */
const portForRestarts = () => randomInt(20_000, 32_000);

/** The three services, and a key for pages of any port. */
export async function startServices() {
  const errorTracker = await startService('error-tracker');
  const collector = await startService('metrics-collector', { RETENTION_RAW: '24' });
  const variables = {
    ERROR_TRACKER_URL: errorTracker.url.replace(/\/$/, ''),
    ERROR_TRACKER_API_KEY: KEY,
    METRICS_COLLECTOR_URL: collector.url.replace(/\/$/, ''),
    METRICS_COLLECTOR_API_KEY: KEY,
    CORS_ORIGINS: 'http://127.0.0.1:*',
    DSN_KEYS: 'shop:the-key',
  };
  let relay = await startService('browser-relay', variables, { port: portForRestarts() });
  return {
    config: { dsn: 'the-key', endpoint: relay.url },
    errors: async () => (await errorTracker.call('GET', 'api/errors?limit=200')).errors,
    error: (id) => errorTracker.call('GET', `api/errors/${id}`),
    /** How many values there are of a metric, and their sum. */
    metric: async (name) => {
      const { data } = await collector.call('GET', `api/metrics?name=${name}&period=1h`);
      return data.reduce((total, { count, sum }) => ({ count: total.count + count, sum: total.sum + sum }), { count: 0, sum: 0 });
    },
    killRelay: () => relay.kill('SIGKILL'),
    startRelay: async () => {
      relay = await startService('browser-relay', variables, relay);
    },
    async stop() {
      for (const service of [relay, collector, errorTracker]) await service.stop();
    },
  };
}
