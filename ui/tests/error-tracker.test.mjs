// error-tracker's interface, as people use it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { HOSTILE, KEY, accessibilityFindings, isTooWide, openPage, requestsOf, startBrowser, startService, waitFor } from './harness.mjs';
import { startNginx } from './nginx.mjs';

const run = promisify(execFile);

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser.close());

const PYTHON = `Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/starlette/routing.py", line 732, in handle
    await route.handle(scope, receive, send)
  File "/app/pay.py", line 12, in pay
    order = orders[order_id]
            ~~~~~~^^^^^^^^^^
KeyError: 42`;

function example(name, more = {}) {
  return {
    project: 'shop',
    exception_type: 'KeyError',
    message: `no order ${name}`,
    traceback: PYTHON.replace('line 12', `line ${10 + name.length}`).replace('/app/pay', `/app/${name}`),
    ...more,
  };
}

async function withPage(visit, options = {}) {
  const service = await startService('error-tracker');
  const report = (body) => service.call('POST', 'api/errors', body);
  if (options.reports) for (const body of options.reports) await report(body);
  const opened = await openPage(browser, service.url, options);
  await visit({ ...opened, service, report });
  assert.deepEqual(opened.faults, []);
  await opened.close();
  await service.stop();
}

const titles = (page) => page.locator('.errors .title').allTextContents();
const messages = (page) => page.locator('.errors .message').allTextContents();

test('without errors the page shows how to report one', () =>
  withPage(async ({ page }) => {
    await page.getByRole('heading', { name: 'No errors yet' }).waitFor();
    const command = await page.locator('.empty pre').innerText();
    assert.ok(!command.includes(KEY), command);
    await run('sh', ['-c', command.replace('curl', 'curl --fail-with-body -sS')], { env: { ...process.env, KEY } });
    // It is there by itself, and reads as a traceback.
    await page.getByRole('link', { name: 'ValueError' }).click();
    await page.locator('.frames > li').getByText('/app/pay.py:12').waitFor();
  }));

test('whoever comes back from an error finds the list as it was', () =>
  withPage(
    async ({ page, service }) => {
      // Title and focus follow a frame after what they belong to.
      const isTitled = (title) => waitFor(title, async () => (await page.title()) === title);
      await page.getByText('30 errors').waitFor();
      // What is below the window's edge comes a frame later.
      await waitFor('all of them', async () => (await page.locator('.errors .title').count()) === 30);
      await isTitled('Errors · Monlight');
      await page.locator('.errors .title').last().scrollIntoViewIfNeeded();
      const before = await page.evaluate(() => scrollY);
      assert.ok(before > 0);
      await page.locator('.errors .title').last().click();
      await page.getByRole('heading', { name: 'KeyError', level: 1 }).waitFor();
      await isTitled('KeyError · Errors · Monlight');
      await waitFor('the keyboard to go on from there', () => page.evaluate(() => document.activeElement.id === 'content'));
      assert.equal(await page.evaluate(() => scrollY), 0, 'at the top');
      await page.goBack();
      await waitFor('the place', async () => (await page.evaluate(() => scrollY)) === before);
      await isTitled('Errors · Monlight');

      await page.goto(`${service.url}?project=shop&search=a`);
      await page.locator('.errors .title').first().click();
      await page.getByRole('link', { name: 'All errors' }).click();
      await page.waitForURL(`${service.url}?project=shop&search=a`);

      // What one key was shown is not there for the next.
      await page.getByRole('button', { name: 'Forget key' }).click();
      await page.getByText('A key is needed.').first().waitFor();
      assert.equal(await page.locator('.errors').count(), 0);
    },
    { reports: Array.from({ length: 30 }, (_, number) => example('a'.repeat(number + 1))) },
  ));

test('whoever clicks before the first frame is followed, and told what it came to', () =>
  withPage(
    async ({ page, service }) => {
      // No frame comes while the page's clock stands still.
      await page.clock.install();
      await page.clock.pauseAt(Date.now() + 3_600_000);
      await page.goto(service.url);
      await page.getByRole('link', { name: 'KeyError' }).click();
      await page.getByRole('heading', { name: 'KeyError', level: 1 }).waitFor();
      await page.getByRole('button', { name: 'Copy as text' }).click();
      await page.getByRole('status').getByText(/Copied|does not allow/).waitFor();
    },
    { reports: [example('a')] },
  ));

test('a link cannot make a page that asks all the time', () =>
  withPage(
    async ({ page, service }) => {
      // Only what is said here makes time pass.
      const now = Date.now();
      await page.clock.install({ time: now });
      // It goes on until then, and cannot be stopped at what has gone by.
      await page.clock.pauseAt(now + 3_600_000);
      const asked = requestsOf(page, service.url);
      await page.goto(`${service.url}?refresh=1`);
      await page.getByText('One error').waitFor();
      await page.clock.fastForward(4_900);
      await page.getByRole('button', { name: 'Refresh' }).click();
      await waitFor('the answer', async () => (await page.locator('[aria-busy="true"]').count()) === 0);
      const questions = () => asked.filter((path) => path.startsWith('api/errors?')).length;
      assert.equal(questions(), 2);
      await waitFor('the next question', async () => {
        await page.clock.runFor(1_000);
        return questions() === 3;
      });
    },
    { reports: [example('a')] },
  ));

test('the list is filtered, sorted and paged, and a link shows the same', () =>
  withPage(
    async ({ page, service }) => {
      await page.getByText('4 errors').waitFor();
      assert.deepEqual(await messages(page), ['gone away', 'no order c', 'no order b', 'no order a']);
      await page.getByRole('button', { name: 'Count' }).click();
      await page.waitForURL(/sort=count/);
      await page.locator('tbody tr').first().getByText('no order b').waitFor();

      await page.getByLabel('Search').fill('ORDER');
      await page.getByText('3 errors').waitFor();
      await page.getByLabel('Project').selectOption('shop');
      await page.getByText('2 errors').waitFor();
      await page.getByLabel('Environment').fill('staging');
      await page.getByLabel('Environment').press('Tab');
      await page.getByText('One error').waitFor();
      assert.deepEqual(await messages(page), ['no order b']);

      const link = page.url();
      assert.match(link, /sort=count/);
      await page.goto(service.url);
      await page.getByText('4 errors').waitFor();
      await page.goto(link);
      await page.getByText('One error').waitFor();
      assert.equal(await page.getByLabel('Search').inputValue(), 'ORDER');
      await page.getByLabel('Source').selectOption('browser');
      await page.getByText('No error matches').waitFor();
      await page.goBack();
      await page.getByText('One error').waitFor();
      // A range as the original's links have it.
      await page.goto(`${service.url}?time=7d&source=browser&resolved=all`);
      await page.getByText('One error').waitFor();
      assert.deepEqual(await messages(page), ['gone away']);
    },
    {
      reports: [
        example('a', { project: 'other' }),
        example('b', { environment: 'staging' }),
        example('b', { environment: 'staging' }),
        example('c'),
        example('x', { exception_type: 'TypeError', message: 'gone away', request_method: 'BROWSER' }),
      ],
    },
  ));

test('how long ago something was is told in words', () =>
  withPage(
    async ({ page, service }) => {
      const { errors } = await service.call('GET', 'api/errors');
      const reported = new Date(errors[0].last_seen.replace(/Z?$/, 'Z')).getTime();
      const [minute, hour, day] = [60_000, 3_600_000, 86_400_000];
      const words = { 0: 'now', [30.5 * 1_000]: '30 s ago', [5.5 * minute]: '5 min ago', [23.5 * hour]: '23 h ago', [1.5 * day]: '1 day ago', [59 * day]: '1 month ago', [800 * day]: '2 years ago' };
      for (const [later, said] of Object.entries({ ...words, [-5.5 * minute]: 'in 5 min' })) {
        await page.clock.setFixedTime(reported + Number(later));
        await page.reload();
        const time = page.locator('tbody time').first();
        await time.waitFor();
        assert.equal(await time.textContent(), said);
      }
    },
    { reports: [example('a')] },
  ));

test('many errors are chosen and resolved together', () =>
  withPage(
    async ({ page }) => {
      await page.getByText('3 errors').waitFor();
      await page.getByLabel('Choose all open errors of this page').check();
      await page.getByLabel('Choose KeyError').first().uncheck();
      await page.getByRole('button', { name: 'Resolve 2' }).click();
      await page.getByText('2 errors are resolved.').waitFor();
      await page.getByText('One error').waitFor();
      assert.deepEqual(await messages(page), ['no order c']);
      await page.getByLabel('Status').selectOption('true');
      await page.getByText('2 errors').first().waitFor();
    },
    { reports: ['a', 'b', 'c'].map((name) => example(name)) },
  ));

test('an error shows where it happened and with what; it is resolved and opened again', () =>
  withPage(
    async ({ page, service }) => {
      await page.getByRole('link', { name: 'KeyError' }).click();
      await page.waitForURL(/errors\/1$/);
      await page.getByRole('heading', { name: 'KeyError' }).waitFor();
      const frames = page.locator('.frames > li');
      assert.equal(await frames.count(), 2);
      assert.match(await frames.last().textContent(), /pay.*\/app\/pay\.py:13.*order = orders\[order_id\]/s);
      await page.getByRole('button', { name: 'Raw' }).click();
      await page.getByText('Traceback (most recent call last)').waitFor();
      await page.getByText('POST https://shop.example/pay').waitFor();
      await page.getByText('"cart"').waitFor();
      await page.getByText('user-7').waitFor();
      await page.getByRole('group', { name: 'Occurrence' }).getByRole('button').nth(1).click();
      await page.getByText('user-6').waitFor();

      await page.getByRole('button', { name: 'Resolve' }).click();
      await page.getByText('resolved', { exact: true }).waitFor();
      // A link in a mail leads here.
      await page.goto(`${service.url}errors/1`);
      await page.getByRole('button', { name: 'Reopen' }).click();
      await page.getByRole('button', { name: 'Resolve' }).waitFor();
      await page.getByRole('link', { name: 's-1' }).click();
      await page.waitForURL(/session_id=s-1/);
      await page.getByText('One error').waitFor();
      await page.goto(`${service.url}errors/99`);
      await page.getByText('There is no error 99').waitFor();
    },
    {
      reports: ['user-6', 'user-7'].map((user) =>
        example('pay', {
          request_url: 'https://shop.example/pay',
          request_method: 'POST',
          request_headers: { accept: '*/*' },
          user_id: user,
          extra: { session_id: 's-1', cart: [1, 2] },
        }),
      ),
    },
  ));

test('an error is copied as text', () =>
  withPage(
    async ({ page }) => {
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.getByRole('button', { name: 'Copy as text' }).click();
      await page.getByText('Copied.').waitFor();
      const text = await page.evaluate(() => navigator.clipboard.readText());
      assert.match(text, /^KeyError: no order pay\nproject shop, prod; seen once/);
      assert.match(text, /\/errors\/1\n\nTraceback/);
    },
    { reports: [example('pay')], path: 'errors/1' },
  ));

test('frames of browsers with the source around them', () =>
  withPage(
    async ({ page }) => {
      const frames = page.locator('.frames > li');
      await frames.first().waitFor();
      assert.equal(await frames.count(), 2);
      assert.match(await frames.first().textContent(), /pay.*src\/pay\.ts:3:9/);
      // What browser-relay found stands in the frame it belongs to; what belongs to none, below them.
      assert.equal((await frames.first().locator('.source .here').textContent()).trim(), 'throw new TypeError(order)');
      assert.equal(await frames.last().locator('.source').count(), 0);
      assert.equal(await page.locator('figure', { hasText: 'src/other.ts' }).locator('.here').textContent(), 'other()');
      assert.equal(await page.getByText('Extra', { exact: true }).count(), 0, 'not shown twice');
      await page.getByRole('button', { name: 'Raw' }).click();
      assert.equal(await page.locator('figure').count(), 2);
    },
    {
      reports: [
        example('x', {
          exception_type: 'TypeError',
          request_method: 'BROWSER',
          traceback: 'TypeError: x\n    at pay (src/pay.ts:3:9)\n    at https://shop.example/app.js:1:20',
          extra: {
            sources: [
              { source: 'src/pay.ts', line: 3, column: 9, first_line: 2, lines: ['{', '  throw new TypeError(order)', '}'] },
              { source: 'src/other.ts', line: 1, column: 1, first_line: 1, lines: ['other()'] },
              // Anybody can send this.
              null, { source: 7, lines: 'x' }, { lines: [] },
            ],
          },
        }),
      ],
      path: 'errors/1',
    },
  ));

test('what browser-relay finds with a source map stands in its frame', async () => {
  const service = await startService('error-tracker');
  const relay = await startService('browser-relay', {
    ERROR_TRACKER_URL: service.url,
    ERROR_TRACKER_API_KEY: KEY,
    METRICS_COLLECTOR_URL: service.url,
    METRICS_COLLECTOR_API_KEY: KEY,
    DSN_KEYS: 'shop:a-key-for-pages-of-the-shop',
  });
  // One mapping: line 1, column 10 of the script is line 5, column 5 of the source.
  const map = { version: 3, sources: ['src/pay.ts'], sourcesContent: ['1\n2\n3\n4\n    throw new TypeError(order)\n6\n'], names: ['pay'], mappings: 'UAIIA' };
  await relay.call('POST', 'api/source-maps', {
    project: 'shop',
    release: '1.4.0',
    file_url: 'https://shop.example/app.min.js',
    map_content: JSON.stringify(map),
  });
  const error = { type: 'TypeError', message: 'x', stack: 'TypeError: x\n    at a (https://shop.example/app.min.js:1:11)', release: '1.4.0' };
  await relay.call('POST', 'api/browser/errors', error, { 'X-Monlight-Key': 'a-key-for-pages-of-the-shop' });
  const { page, faults, close } = await openPage(browser, service.url, { path: 'errors/1' });
  const frame = page.locator('.frames > li');
  assert.match(await frame.textContent(), /src\/pay\.ts:5/);
  assert.equal((await frame.locator('.source .here').textContent()).trim(), 'throw new TypeError(order)');
  assert.deepEqual(faults, []);
  await close();
  await relay.stop();
  await service.stop();
});

test('hostile text is only ever shown', async () => {
  const hostile = HOSTILE.map((text, number) => ({
    project: text.slice(0, 25),
    exception_type: text.slice(0, 50),
    message: text + 'x'.repeat(number === 0 ? 200_000 : 0),
    traceback: `  File "${text}", line ${number + 1}, in ${text}\n    ${text}\n${text}@${text}:1:2\n    at ${text} (${text}:3:4)`,
    environment: text.slice(0, 20),
    request_url: text,
    request_method: text,
    request_headers: { [text]: text },
    user_id: text,
    extra: { session_id: text, sources: [{ source: text, line: 1, lines: [text] }] },
  }));
  await withPage(
    async ({ page, service }) => {
      await page.getByText(`${hostile.length} errors`).waitFor();
      assert.equal(await isTooWide(page), false, 'the list is as wide as the window');
      for (let id = 1; id <= hostile.length; id++) {
        await page.goto(`${service.url}errors/${id}`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        assert.equal(await isTooWide(page), false, `error ${id} is as wide as the window`);
      }
      assert.equal(await page.locator('#app script, #app img, #app iframe').count(), 0);
    },
    { reports: hostile },
  );
});

test('it works with the keyboard alone', () =>
  withPage(
    async ({ page }) => {
      await page.getByText('One error').waitFor();
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
      await page.keyboard.press('Enter');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'content');
      for (let steps = 0; steps < 30; steps++) {
        await page.keyboard.press('Tab');
        if (await page.evaluate(() => document.activeElement.matches('a.title'))) break;
      }
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.equal(outline, 'solid');
      await page.keyboard.press('Enter');
      await page.waitForURL(/errors\/1$/);
    },
    { reports: [example('a')] },
  ));

for (const [name, options] of [['a phone', { phone: true }], ['the dark', { theme: 'dark' }]]) {
  test(`on ${name} everything fits, and axe finds nothing serious`, () =>
    withPage(
      async ({ page, service }) => {
        await page.getByText('2 errors').waitFor();
        for (const path of ['', 'errors/1']) {
          await page.goto(service.url + path);
          await page.getByText('no order').first().waitFor();
          assert.equal(await isTooWide(page), false, path);
          assert.deepEqual(await accessibilityFindings(page), [], path);
        }
      },
      { ...options, reports: [example('a', { message: 'no order, long '.repeat(200) }), example('b', { environment: 'staging' })] },
    ));
}

test('it works below a path prefix, behind nginx', async () => {
  const service = await startService('error-tracker');
  await service.call('POST', 'api/errors', example('a'));
  const nginx = await startNginx('/error-tracker/', service.url);
  const { page, faults, close } = await openPage(browser, nginx.url);
  await page.getByRole('link', { name: 'KeyError' }).click();
  await page.waitForURL(`${nginx.url}errors/1`);
  await page.reload();
  await page.getByRole('button', { name: 'Resolve' }).click();
  await page.getByText('resolved', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'All errors' }).click();
  await page.waitForURL(nginx.url);
  await page.getByText('No errors yet').waitFor();
  assert.deepEqual(faults, []);
  await close();
  await nginx.stop();
  await service.stop();
});
