// What all interfaces share: how they are served, the key, the theme, words for what goes wrong.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dockerFolder } from './docker-logs.mjs';
import { KEY, accessibilityFindings, isTooWide, openPage, requestsOf, startBrowser, startService, waitFor } from './harness.mjs';

const SERVICES = ['error-tracker', 'log-viewer', 'metrics-collector'];

/** Gives each service something to show. */
const SOMETHING = {
  'error-tracker': (service) =>
    service.call('POST', 'api/errors', { project: 'shop', exception_type: 'KeyError', message: 'no order', traceback: 'KeyError' }),
  'log-viewer': async (service, docker) => {
    docker.container('web').print(['a line']);
    await waitFor('the line', async () => (await service.call('GET', 'api/stats')).total_logs === 1);
  },
  'metrics-collector': (service) =>
    service.call('POST', 'api/metrics', [{ name: 'http_requests_total', type: 'counter', value: 1, labels: { status: '200' } }]),
};

/** Lets no request for these go on before its `release`. */
async function heldBack(page, addresses) {
  let release;
  const isAllowed = new Promise((resolve) => (release = resolve));
  await page.route(addresses, async (route) => {
    await isAllowed;
    await route.continue();
  });
  return { release };
}

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser.close());

for (const name of SERVICES) {
  test(`${name} asks for the key, says when it is wrong, and keeps it for the tab`, async () => {
    const service = await startService(name);
    const { page, faults, close } = await openPage(browser, service.url, { key: '' });
    const prompt = page.getByRole('dialog');
    await prompt.waitFor();
    await prompt.getByText('A key is needed.').waitFor();
    // It could not even be sent.
    await prompt.getByLabel('Key', { exact: true }).fill('ключ');
    await page.keyboard.press('Enter');
    assert.ok(await prompt.isVisible());
    assert.equal(await prompt.locator('input:invalid').count(), 1);
    await prompt.getByLabel('Key', { exact: true }).fill('not-it');
    await page.keyboard.press('Enter');
    await prompt.getByText('This key is not right.').waitFor();
    await prompt.getByLabel('Key', { exact: true }).fill(KEY);
    await page.getByRole('button', { name: 'Use this key' }).click();
    await prompt.waitFor({ state: 'hidden' });
    await page.getByRole('alert').waitFor({ state: 'detached' });
    const stored = await page.evaluate(() => [Object.values({ ...sessionStorage }), Object.values({ ...localStorage })]);
    assert.deepEqual(stored, [[KEY], []]);
    assert.ok(!page.url().includes(KEY));

    await page.getByRole('button', { name: 'Forget key' }).click();
    await prompt.waitFor();
    await prompt.getByLabel('Key', { exact: true }).fill(KEY);
    await page.getByLabel('Remember on this device').check();
    await page.keyboard.press('Enter');
    await prompt.waitFor({ state: 'hidden' });
    const remembered = await page.evaluate(() => [Object.values({ ...sessionStorage }), Object.values({ ...localStorage })]);
    assert.deepEqual(remembered, [[], [KEY]]);
    assert.deepEqual(faults, []);
    await close();
    await service.stop();
  });

  test(`${name} serves its page with a strict policy, and assets that never change`, async () => {
    const service = await startService(name);
    const answer = await fetch(service.url);
    const html = await answer.text();
    assert.equal(answer.headers.get('cache-control'), 'no-cache');
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(answer.headers.get('referrer-policy'), 'no-referrer');
    const policy = answer.headers.get('content-security-policy');
    assert.ok(policy.includes("default-src 'none'") && policy.includes("frame-ancestors 'none'") && !policy.includes('unsafe'), policy);
    const assets = [...html.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, path]) => path);
    assert.equal(assets.length, 4);
    const head = await fetch(service.url, { method: 'HEAD' });
    assert.equal(await head.text(), '');
    assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(html)));
    assert.equal(head.headers.get('content-security-policy'), policy);
    for (const path of assets) {
      const asset = await fetch(service.url + path);
      assert.equal(asset.status, 200, path);
      // A picture that is opened as a page is one.
      assert.equal(asset.headers.get('content-security-policy'), policy);
      assert.equal(asset.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(asset.headers.get('referrer-policy'), 'no-referrer');
      assert.equal((await fetch(service.url + path, { method: 'HEAD' })).headers.get('content-encoding'), 'gzip');
      assert.equal(asset.headers.get('cache-control'), 'public, max-age=31536000, immutable');
      assert.equal(asset.headers.get('content-encoding'), 'gzip');
      const refused = await fetch(service.url + path, { headers: { 'accept-encoding': 'identity' } });
      assert.equal(refused.status, 406, path);
      await refused.arrayBuffer();
    }
    const gone = await fetch(`${service.url}assets/main-OLDOLD00.js`);
    assert.equal(gone.status, 404);
    await service.stop();
  });

  test(`${name} asks for nothing twice, and for its data before its script is there`, async () => {
    const docker = dockerFolder();
    const service = await startService(name, { LOG_SOURCES: docker.folder, POLL_INTERVAL: '1' });
    await SOMETHING[name](service, docker);
    for (const path of ['', '?time=24h', '?period=24h']) {
      const { page, faults, close } = await openPage(browser, service.url, { path: 'assets/none' });
      const asked = requestsOf(page, service.url);
      // Whoever looks at the clock again finds a second gone, and a range of time begins later.
      await page.addInitScript(() => {
        const now = Date.now;
        let looks = 0;
        Date.now = () => now() + 1000 * looks++;
      });
      const script = await heldBack(page, '**/assets/main-*.js');
      await page.goto(service.url + path, { waitUntil: 'commit' });
      await waitFor('the first question', () => asked.some((path) => path.startsWith('api/')));
      script.release();
      await page.locator('.errors .title, .line, canvas').first().waitFor();
      await page.waitForLoadState('networkidle');
      assert.equal(new Set(asked).size, asked.length, asked.join('\n'));
      assert.deepEqual(faults, []);
      await close();
    }
    await service.stop();
    docker.remove();
  });

  test(`${name} is drawn without its data when that takes long, and says what went wrong`, async () => {
    const docker = dockerFolder();
    const service = await startService(name, { LOG_SOURCES: docker.folder, POLL_INTERVAL: '1' });
    await SOMETHING[name](service, docker);
    const { page, faults, close } = await openPage(browser, service.url, { path: 'assets/none' });
    const asked = requestsOf(page, service.url);
    const answers = await heldBack(page, '**/api/**');
    await page.goto(service.url);
    await page.getByText('Loading…').waitFor();
    answers.release();
    await page.locator('.errors .title, .line, canvas').first().waitFor();
    await page.waitForLoadState('networkidle');
    assert.equal(new Set(asked).size, asked.length, asked.join('\n'));

    for (const [answer, words] of [
      [(route) => route.fulfill({ status: 429, headers: { 'Retry-After': '7' }, body: '{"detail":"slow down"}' }), /Too many requests\..*Next try in \d s\./],
      [(route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway' }), /The server is busy or starting\./],
      [(route) => route.fulfill({ status: 200, contentType: 'text/html', body: '<h1>Sign in' }), /Something else answers in the place of the service/],
      [(route) => route.abort(), /The server cannot be reached\./],
    ]) {
      await page.route('**/api/**', answer);
      await page.reload();
      await page.getByRole('alert').getByText(words).first().waitFor();
      await page.unroute('**/api/**');
    }
    assert.deepEqual(faults, []);
    await close();
    await service.stop();
    docker.remove();
  });

  test(`${name} says that the server is away, and goes on when it is back`, async () => {
    const service = await startService(name);
    const { page, faults, close } = await openPage(browser, service.url);
    await page.getByRole('main').waitFor();
    await service.kill();
    await page.getByRole('button', { name: 'Forget key' }).click();
    await page.getByText(/The server cannot be reached\..*Next try in \d+ s\./).waitFor();
    const back = await startService(name, {}, service);
    await page.getByText('A key is needed.').first().waitFor();
    assert.deepEqual(faults, []);
    await close();
    await back.stop();
  });
}

test('the theme follows the system until it is chosen', async () => {
  const service = await startService('error-tracker');
  const { page, close } = await openPage(browser, service.url, { theme: 'dark' });
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await ground();
  const button = page.getByRole('button', { name: /^Theme/ });
  await button.click();
  assert.equal(await ground(), dark);
  await button.click();
  assert.notEqual(await ground(), dark);
  const light = await ground();
  await page.reload();
  assert.equal(await ground(), light);
  await close();
  await service.stop();
});

test('a limit is counted down, and the page goes on by itself', async () => {
  const service = await startService('error-tracker', { RATE_LIMIT: '60' });
  const { page, faults, close } = await openPage(browser, service.url);
  await page.clock.install();
  await page.getByRole('main').waitFor();
  const isLimited = async () => (await fetch(`${service.url}api/projects`, { headers: { 'X-API-Key': KEY } })).status === 429;
  await waitFor('the limit', isLimited);
  await page.reload();
  await page.getByText(/Too many requests\..*Next try in \d+ s\./).waitFor();
  await service.kill();
  const relaxed = await startService('error-tracker', {}, service);
  await page.clock.fastForward('01:01');
  await page.getByRole('alert').waitFor({ state: 'detached' });
  assert.deepEqual(faults, []);
  await close();
  await relaxed.stop();
});

test('nothing serious is found by axe, on a phone in the dark too, whatever the page has to say', async () => {
  for (const name of SERVICES) {
    const service = await startService(name);
    for (const options of [{}, { phone: true, theme: 'dark' }]) {
      const { page, close } = await openPage(browser, service.url, options);
      await page.getByRole('heading', { name: /yet$/ }).waitFor();
      assert.deepEqual(await accessibilityFindings(page), [], `${name}, nothing there`);
      assert.equal(await isTooWide(page), false, `${name}, nothing there`);
      await page.getByRole('button', { name: 'Copy' }).click();
      await page.getByRole('status').getByText(/Copied|does not allow/).waitFor();
      assert.deepEqual(await accessibilityFindings(page), [], `${name}, with a message`);
      await page.getByRole('button', { name: 'Forget key' }).click();
      await page.getByRole('dialog').waitFor();
      assert.deepEqual(await accessibilityFindings(page), [], `${name}, asking for the key`);
      assert.equal(await isTooWide(page), false, `${name}, asking for the key`);
      // The dialog keeps the focus, gives it back, and the page says what is missing.
      await page.keyboard.press('Escape');
      await page.getByRole('alert').getByText('A key is needed.').waitFor();
      assert.deepEqual(await accessibilityFindings(page), [], `${name}, in trouble`);
      await page.getByRole('button', { name: 'Enter the key' }).click();
      await page.getByRole('dialog').waitFor();
      await close();
    }
    await service.stop();
  }
});
