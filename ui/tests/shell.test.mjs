// What all interfaces share: how they are served, the key, the theme, words for what goes wrong.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KEY, accessibilityFindings, openPage, startBrowser, startService, waitFor } from './harness.mjs';

const SERVICES = ['error-tracker', 'log-viewer', 'metrics-collector'];

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
    await page.getByLabel('Key', { exact: true }).fill('not-it');
    await page.keyboard.press('Enter');
    await prompt.getByText('This key is not right.').waitFor();
    await page.getByLabel('Key', { exact: true }).fill(KEY);
    await page.getByRole('button', { name: 'Use this key' }).click();
    await prompt.waitFor({ state: 'hidden' });
    await page.getByRole('alert').waitFor({ state: 'detached' });
    const stored = await page.evaluate(() => [Object.values({ ...sessionStorage }), Object.values({ ...localStorage })]);
    assert.deepEqual(stored, [[KEY], []]);
    assert.ok(!page.url().includes(KEY));

    await page.getByRole('button', { name: 'Forget key' }).click();
    await prompt.waitFor();
    await page.getByLabel('Key', { exact: true }).fill(KEY);
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
    for (const path of assets) {
      const asset = await fetch(service.url + path);
      assert.equal(asset.status, 200, path);
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
  const button = page.getByTitle(/^Theme/);
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

test('nothing serious is found by axe, on a phone in the dark too', async () => {
  for (const name of SERVICES) {
    const service = await startService(name);
    for (const options of [{}, { phone: true, theme: 'dark' }]) {
      const { page, close } = await openPage(browser, service.url, options);
      await page.getByRole('main').waitFor();
      assert.deepEqual(await accessibilityFindings(page), [], name);
      await close();
    }
    await service.stop();
  }
});
