// Against a network and a clock of the test's own.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { delivery } from '../../src/delivery';
import { leftovers } from '../../src/leftovers';

const RELAY = { endpoint: 'https://relay.example', dsn: 'k y' };
const item = (n, labels = {}) => ({ name: `m${n}`, type: 'counter', value: n, timestamp: 't', labels });

let requests;
let beacons;
let answer;
let place;

beforeEach(() => {
  vi.useFakeTimers();
  [requests, beacons, place, answer] = [[], [], {}, () => ({ status: 201 })];
  vi.stubGlobal('fetch', async (url, options) => {
    requests.push({ url, ...options, body: JSON.parse(options.body) });
    const { status, headers = {}, body = null, error } = await answer(requests.length);
    if (error) throw error;
    return new Response(body, { status, headers });
  });
  vi.stubGlobal('navigator', { onLine: true, sendBeacon: (url, blob) => beacons.push({ url, blob }) });
  const methods = { removeItem: (name) => delete place[name] };
  vi.stubGlobal('localStorage', new Proxy(place, { get: (target, name) => methods[name] ?? target[name] }));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const start = () => delivery(RELAY, leftovers(RELAY.dsn));
const settle = () => vi.advanceTimersByTimeAsync(0);

test('an error leaves at once, with the key and one of its own', async () => {
  const queue = start();
  queue.error('{"type":"E"}');
  await settle();
  expect(requests).toHaveLength(1);
  expect(requests[0]).toMatchObject({ url: 'https://relay.example/api/browser/errors', method: 'POST', keepalive: true });
  expect(requests[0].headers).toMatchObject({ 'Content-Type': 'application/json', 'X-Monlight-Key': 'k y' });
  expect(requests[0].headers['Idempotency-Key']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(queue.stats()).toEqual({ sent: 1, lost: 0, waiting: 0 });
});

test('values leave after five seconds, or when there are ten', async () => {
  const queue = start();
  queue.metric(item(0));
  await vi.advanceTimersByTimeAsync(4_999);
  expect(requests).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(requests[0].body).toEqual({ metrics: [item(0)] });
  for (let n = 0; n < 10; n++) queue.metric(item(n));
  await settle();
  expect(requests[1].body.metrics).toHaveLength(10);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(requests).toHaveLength(2);
});

test('a batch fits into a request', async () => {
  const queue = start();
  const text = '\u4e2d'.repeat(200);
  for (let n = 0; n < 60; n++) queue.metric(item(n, Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`${at}${text}`.slice(0, 200), text]))));
  await queue.flush();
  expect(requests.flatMap(({ body }) => body.metrics).map(({ value }) => value)).toEqual(Array.from({ length: 60 }, (_, n) => n));
  for (const { body } of requests) expect(new TextEncoder().encode(JSON.stringify(body)).length).toBeLessThan(65_536);
});

test.each([[{ status: 500 }], [{ status: 503 }], [{ status: 408 }], [{ status: 429 }], [{ error: new TypeError('Failed to fetch') }]])(
  'after %j the same request comes again, later and later',
  async (fault) => {
    answer = (count) => (count <= 4 ? fault : { status: 201 });
    const queue = start();
    queue.error('{"type":"E"}');
    await settle();
    expect(requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(999);
    expect(requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(requests).toHaveLength(5);
    expect(new Set(requests.map(({ headers }) => headers['Idempotency-Key'])).size).toBe(1);
    expect(queue.stats()).toEqual({ sent: 1, lost: 0, waiting: 0 });
  },
);

test('Retry-After is kept to', async () => {
  answer = (count) => (count === 1 ? { status: 429, headers: { 'Retry-After': '40' } } : { status: 201 });
  const queue = start();
  queue.error('{}');
  await vi.advanceTimersByTimeAsync(39_999);
  queue.error('{}');
  await settle();
  expect(requests).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(21_000);
  expect(requests).toHaveLength(3);
});

test.each([400, 401, 403, 404, 413])('%i is final, counted, and holds nothing up', async (status) => {
  answer = (count) => ({ status: count === 1 ? status : 201 });
  const queue = start();
  queue.error('{"n":1}');
  queue.error('{"n":2}');
  await settle();
  expect(requests.map(({ body }) => body.n)).toEqual([1, 2]);
  expect(queue.stats()).toEqual({ sent: 1, lost: 1, waiting: 0 });
});

test('502 is final where the relay says it, and not where a proxy does', async () => {
  answer = (count) => ({ status: count <= 2 ? 502 : 201, body: count === 1 ? '{"detail":"Upstream error"}' : '<h1>502 Bad Gateway</h1>' });
  const queue = start();
  queue.error('{"n":1}');
  queue.error('{"n":2}');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(requests.map(({ body }) => body.n)).toEqual([1, 2, 2]);
  expect(queue.stats()).toEqual({ sent: 1, lost: 1, waiting: 0 });
});

test('what waits is bounded, the oldest goes, and each loss is counted', async () => {
  answer = () => ({ error: new TypeError('away') });
  const queue = start();
  queue.error('{"n":0}');
  await settle();
  for (let n = 1; n < 110; n++) queue.error(`{"n":${n}}`);
  for (let n = 0; n < 2_100; n++) queue.metric(item(n));
  await settle();
  expect(queue.stats()).toEqual({ sent: 0, lost: 130, waiting: 2_080 });
  // After the first try eighty were left, the newest.
  answer = () => ({ status: 201 });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(requests.filter(({ url }) => url.endsWith('errors')).map(({ body }) => body.n)).toEqual([0, ...Array.from({ length: 80 }, (_, n) => n + 30)]);
  expect(requests.flatMap(({ body }) => body.metrics ?? [])).toHaveLength(2_000);
  expect(queue.stats()).toEqual({ sent: 2_080, lost: 130, waiting: 0 });
});

test('a page that is hidden hands everything to the browser', async () => {
  answer = () => new Promise(() => undefined);
  const queue = start();
  queue.error('{"n":1}');
  await settle();
  queue.error('{"n":2}');
  queue.metric(item(0));
  queue.hide(true);
  const address = (kind) => expect.stringMatching(`^https://relay.example/api/browser/${kind}\\?key=k%20y&idempotency_key=[0-9a-f-]{36}$`);
  expect(beacons.map(({ url }) => url)).toEqual([address('errors'), address('metrics')]);
  expect(beacons[0].blob.type).toBe('application/json');
  expect(JSON.parse(await beacons[1].blob.text())).toEqual({ metrics: [item(0)] });
  // The one under way is no beacon, and not forgotten.
  expect(Object.values(place).flatMap((text) => JSON.parse(text).map(({ body }) => body))).toEqual(['{"n":1}']);
});

test('a page that is hidden, and then ends, hands over once', async () => {
  answer = () => ({ error: new TypeError('away') });
  const queue = start();
  queue.error('{"n":1}');
  await settle();
  queue.hide(true);
  queue.hide(true);
  expect(beacons).toHaveLength(1);
});

test('what a page could not send, the next one does, with the same key', async () => {
  answer = () => ({ error: new TypeError('away') });
  const first = start();
  first.error('{"n":1}');
  await settle();
  first.metric(item(0));
  first.hide(true);
  // They may be lost on the way, so they are kept, too.
  const keys = beacons.map(({ url }) => new URL(url).searchParams.get('idempotency_key'));
  expect(keys[0]).toBe(requests[0].headers['Idempotency-Key']);
  expect(first.stats()).toEqual({ sent: 0, lost: 0, waiting: 2 });
  answer = () => ({ status: 201 });
  const next = start();
  await settle();
  expect(requests.map(({ url }) => url.split('/').at(-1))).toEqual(['errors', 'errors', 'metrics']);
  expect(requests.slice(1).map(({ headers }) => headers['Idempotency-Key'])).toEqual(keys);
  expect(next.stats()).toEqual({ sent: 2, lost: 0, waiting: 0 });
  expect(place).toEqual({});
});

test('leftovers that are old, too many or somebody else\'s are none', async () => {
  const parcel = (path, n, hours = 0) => ({ path, id: `id${n}`, count: 1, body: `{"n":${n}}`, at: Date.now() - hours * 3_600_000 });
  place['monlight:k y:a'] = JSON.stringify([parcel('metrics', 1, 2), parcel('errors', 2, 2)]);
  place['monlight:k y:b'] = JSON.stringify([parcel('errors', 3, 25)]);
  place['monlight:k y:c'] = 'no JSON';
  place['monlight:k y:d'] = JSON.stringify([null, 7, { path: '../admin', body: '', at: Date.now() }]);
  place['monlight:k y:e'] = JSON.stringify(Array.from({ length: 90 }, (_, n) => parcel('errors', n + 100)));
  place.other = 'stays';
  start();
  await settle();
  expect(requests).toHaveLength(80);
  expect(requests.at(-1).body.n).toBe(189);
  expect(place).toEqual({ other: 'stays' });
});

test('what no page can send grows old, however many pages try', async () => {
  answer = () => ({ error: new TypeError('blocked') });
  let page = start();
  page.metric(item(0));
  page.error('{"n":1}');
  await settle();
  for (let hours = 0; hours < 24; hours++) {
    page.hide(true);
    expect(page.stats().waiting).toBe(hours === 0 ? 2 : 1);
    vi.setSystemTime(Date.now() + 3_600_000);
    page = start();
    await settle();
  }
  expect(page.stats().waiting).toBe(0);
});

test.each([['missing', undefined], ['raising', () => { throw new Error('blocked'); }]])('a sendBeacon that is %s leaves everything to the next page', async (_, sendBeacon) => {
  navigator.sendBeacon = sendBeacon;
  const queue = start();
  queue.metric(item(0));
  queue.hide(true);
  const next = start();
  await settle();
  expect(requests.at(-1).body).toEqual({ metrics: [item(0)] });
  expect(next.stats()).toEqual({ sent: 1, lost: 0, waiting: 0 });
});

test('a relay that fails five times at the same request loses it, and gets the next one', async () => {
  answer = () => ({ status: requests.at(-1).body.n === 1 ? 500 : 201 });
  const queue = start();
  queue.error('{"n":1}');
  queue.error('{"n":2}');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(requests.map(({ body }) => body.n)).toEqual([1, 1, 1, 1, 1, 2]);
  expect(queue.stats()).toEqual({ sent: 1, lost: 1, waiting: 0 });
});

test('a storage that is full or blocked is no trouble', async () => {
  vi.stubGlobal('localStorage', new Proxy({}, { get() { throw new Error('blocked'); }, set() { throw new Error('full'); }, ownKeys() { throw new Error('blocked'); } }));
  answer = () => ({ error: new TypeError('away') });
  const queue = start();
  queue.error('{}');
  await settle();
  queue.hide(true);
  expect(queue.stats().waiting).toBe(1);
});

test('too much is not left behind', () => {
  const queue = start();
  navigator.onLine = false;
  for (let n = 0; n < 40; n++) queue.error(JSON.stringify({ n, text: 'x'.repeat(10_000) }));
  queue.hide(true);
  const [text] = Object.values(place);
  expect(text.length).toBeLessThanOrEqual(100_000);
  expect(JSON.parse(JSON.parse(text).at(-1).body).n).toBe(39);
});

test('flush waits, and says whether all has arrived', async () => {
  const queue = start();
  queue.metric(item(0));
  expect(await queue.flush()).toBe(true);
  answer = () => ({ status: 503 });
  queue.error('{}');
  expect(await queue.flush()).toBe(false);
  answer = () => ({ status: 201 });
  expect(await queue.flush()).toBe(true);
});
