// Takes the pictures of the documentation: every page, in both themes, from the real services.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dockerFolder } from './tests/docker-logs.mjs';
import { openPage, startBrowser, startService, waitFor } from './tests/harness.mjs';
import { sendValues, shopValues } from './tests/metrics-data.mjs';

const images = join(dirname(fileURLToPath(import.meta.url)), '../docs/images');
mkdirSync(images, { recursive: true });
const browser = await startBrowser();

/** One picture per theme; `ready` waits until the page shows what it should. */
async function picture(name, service, path, ready) {
  for (const theme of ['light', 'dark']) {
    const { page, close } = await openPage(browser, service.url, { theme, path });
    await ready(page);
    await page.screenshot({ path: join(images, `${name}-${theme}.png`) });
    await close();
  }
}

const FRAMES = `Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/starlette/routing.py", line 732, in handle
    await route.handle(scope, receive, send)
  File "/app/shop/orders.py", line 48, in pay
    total = order["items"]["total"]
            ~~~~~~~~~~~~~~^^^^^^^^^`;

/** As browser-relay sends an error of a minified script whose source map it has. */
const IN_BROWSER = {
  traceback: `TypeError: Cannot read properties of undefined (reading 'total')
    at totalOf (src/cart/total.ts:14:22)
    at Checkout (src/cart/checkout.tsx:52:17)
    at https://shop.example/vendor/react-dom.js:1:90210`,
  request_method: 'BROWSER',
  request_url: 'https://shop.example/checkout',
  extra: {
    session_id: 's-7f3a',
    sources: [
      {
        source: 'src/cart/total.ts',
        line: 14,
        column: 22,
        first_line: 12,
        lines: ['export function totalOf(order: Order): number {', '  // The cart may be empty.', '  const { total } = order.items;', '  return total - order.discount;', '}'],
      },
    ],
  },
};

async function errors() {
  const service = await startService('error-tracker');
  const errors = [
    ['KeyError', "'total'", 'shop', 'prod', 9],
    ['sqlalchemy.exc.OperationalError', 'could not connect to server: Connection refused. Is it running on host "db"?', 'shop', 'staging', 3],
    ['TypeError', "Cannot read properties of undefined (reading 'total')", 'shop-web', 'prod', 21],
    ['TimeoutError', 'payments did not answer in 5 s', 'shop', 'prod', 14],
    ['ZeroDivisionError', 'division by zero', 'billing', 'prod', 1],
  ];
  for (const [type, message, project, environment, count] of errors) {
    for (let seen = 0; seen < count; seen++) {
      await service.call('POST', 'api/errors', {
        project,
        exception_type: type,
        message,
        environment,
        traceback: `${FRAMES.replace('48', String(40 + type.length))}\n${type}: ${message}`,
        request_method: 'POST',
        request_url: 'https://shop.example/orders/42/pay',
        request_headers: { accept: 'text/html', 'user-agent': 'Mozilla/5.0' },
        user_id: '42',
        extra: { session_id: 's-7f3a', cart: [3, 14] },
        ...(project === 'shop-web' ? IN_BROWSER : {}),
      });
    }
  }
  await picture('errors', service, '', (page) => page.getByText('5 errors').waitFor());
  await picture('error', service, 'errors/3', (page) => page.locator('.frames').waitFor());
  await service.stop();
}

async function logs() {
  const docker = dockerFolder();
  const said = [
    'INFO: GET /orders/4 200 in 12 ms',
    'INFO: GET /products 200 in 7 ms',
    'DEBUG: cache hit for user 42',
    '{"level":"info","msg":"order placed","order":{"id":42,"total":19.9}}',
    '[WARNING] slow query: orders took 1.2 s',
    '[ERROR] payments: timeout after 5 s',
    '\u001b[32mready\u001b[0m in \u001b[1m1.2 s\u001b[0m',
  ];
  const day = 86_400_000;
  for (const [name, count] of [['web', 400], ['worker', 140], ['db', 60]]) {
    const lines = Array.from({ length: count }, (_, number) => said[((number * number) % 11) % said.length]);
    docker.container(name).print(lines, { time: (number) => new Date(Date.now() - day + (number * day) / count) });
  }
  const service = await startService('log-viewer', { LOG_SOURCES: docker.folder, TAIL_BUFFER: '10485760' });
  await waitFor('all entries', async () => (await service.call('GET', 'api/stats')).total_logs === 600);
  await picture('logs', service, '?search=timeout+OR+slow+OR+order', async (page) => {
    await page.locator('.volume svg').waitFor();
    await page.locator('mark').first().waitFor();
  });
  await service.stop();
  docker.remove();
}

async function metrics() {
  const service = await startService('metrics-collector');
  await sendValues(service, shopValues(55));
  const drawn = (page) => page.locator('canvas').first().waitFor();
  await picture('metrics', service, '?period=1h', drawn);
  await picture('explorer', service, '?metric=http_request_duration_seconds&period=1h', drawn);
  await service.stop();
}

await errors();
await logs();
await metrics();
await browser.close();
