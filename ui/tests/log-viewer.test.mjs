// log-viewer's interface, as people use it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dockerFolder } from './docker-logs.mjs';
import { HOSTILE, accessibilityFindings, isTooWide, openPage, startBrowser, startService, waitFor } from './harness.mjs';
import { startNginx } from './nginx.mjs';

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser.close());

/** Runs with a viewer of what `fill` printed; it must come to `entries` entries. */
async function withPage({ fill = () => {}, entries = 0, ...options }, run) {
  const docker = dockerFolder();
  fill(docker);
  const service = await startService('log-viewer', {
    LOG_SOURCES: docker.folder,
    MAX_ENTRIES: '200000',
    TAIL_BUFFER: '104857600',
    POLL_INTERVAL: '1',
  });
  const count = async () => (await service.call('GET', 'api/stats')).total_logs;
  await waitFor(`${entries} entries`, async () => (await count()) >= entries);
  const opened = await openPage(browser, service.url, options);
  await run({ ...opened, service, docker });
  assert.deepEqual(opened.faults, []);
  await opened.close();
  await service.stop();
  docker.remove();
}

const lines = (page) => page.locator('.line .message').allTextContents();
const minutesAgo = (minutes) => new Date(Date.now() - minutes * 60_000);

test('without logs the page says how to make some', () =>
  withPage({}, async ({ page, docker }) => {
    await page.getByRole('heading', { name: 'No logs yet' }).waitFor();
    docker.container('hello').print(['hello from a container']);
    await page.getByText('1 entry', { exact: true }).waitFor();
    assert.deepEqual(await lines(page), ['hello from a container']);
  }));

const SHOP = (docker) => {
  docker.container('web').print(['INFO: started', '[ERROR] timeout after 5 s', '[WARNING] slow query: orders/4', '{"user":{"id":42},"ok":true}'], {
    time: (number) => minutesAgo(60 - number),
  });
  docker.container('db').print(['checkpoint complete', '\u001b[31mFATAL\u001b[0m: too many connections'], { time: (number) => minutesAgo(10 - number) });
};

test('lines are filtered and searched, hits are marked, and a link shows the same', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ page, service }) => {
    await page.getByText('6 entries', { exact: true }).waitFor();
    assert.equal((await lines(page)).length, 6);
    await page.getByLabel('Container').selectOption('web');
    await page.getByText('4 entries', { exact: true }).waitFor();
    await page.getByLabel('Level').selectOption('>=WARNING');
    await page.getByText('2 entries', { exact: true }).waitFor();
    await page.getByLabel('Search words').fill('time* OR "slow query"');
    await page.waitForURL(/search=/);
    await waitFor('marks', async () => (await page.locator('mark').count()) === 2);
    assert.deepEqual(await page.locator('mark').allTextContents(), ['slow query', 'timeout']);
    const link = page.url();
    await page.goto(service.url);
    await page.getByText('6 entries', { exact: true }).waitFor();
    await page.goto(link);
    await page.getByText('2 entries', { exact: true }).waitFor();
    await page.getByLabel('Search words').fill('nothing-like-it');
    await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
    // A link as the original has it.
    await page.goto(`${service.url}?search=&container=db&level=&time=15m&refresh=5&offset=0`);
    await page.getByText('2 entries', { exact: true }).waitFor();
    await page.getByLabel('Contains').fill('OMPLET');
    await page.getByText('1 entry', { exact: true }).waitFor();
    assert.deepEqual(await page.locator('mark').allTextContents(), ['omplet']);
  }));

test('colours are shown, JSON is formatted, and a line leads to what was around it', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ page }) => {
    const fatal = page.locator('.line .fg-1');
    assert.equal(await fatal.textContent(), 'FATAL');
    await page.getByRole('button', { name: /"user"/ }).click();
    await page.getByText('"id": 42').waitFor();
    await page.getByRole('button', { name: 'Formatted' }).click();
    await page.getByText('"id": 42').waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'What happened around it' }).click();
    await page.waitForURL(/around=/);
    await waitFor('the neighbours', async () => (await lines(page)).length === 4);
    assert.equal(await page.locator('.line.marked .message').textContent(), '{"user":{"id":42},"ok":true}');
    await page.getByRole('link', { name: 'Back to all logs' }).click();
    await page.getByText('6 entries', { exact: true }).waitFor();
  }));

test('JSON in lines says what the line says, long numbers too', () =>
  withPage(
    {
      fill: (docker) => docker.container('web').print(['{"id":12345678901234567890,"a":[1.50,{}],"s":"x: {\\"y\\": [1]}, \\u00e9","n":[]}', '['.repeat(50_000)]),
      entries: 2,
    },
    async ({ page }) => {
      await page.getByRole('button', { name: /"id"/ }).click();
      const shown = await page.locator('.opened pre').innerText();
      assert.equal(shown.trim(), '{\n  "id": 12345678901234567890,\n  "a": [\n    1.50,\n    {}\n  ],\n  "s": "x: {\\"y\\": [1]}, \\u00e9",\n  "n": []\n}');
      await page.locator('.line').first().click();
      await page.locator('.opened').first().waitFor();
    },
  ));

test('rows come before their volume, which moves nothing when it comes', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ page }) => {
    let letVolumeCome;
    const isAllowed = new Promise((resolve) => (letVolumeCome = resolve));
    await page.route('**/api/logs/histogram*', async (route) => {
      await isAllowed;
      await route.continue();
    });
    await page.reload();
    await page.locator('.line').first().waitFor();
    const before = await page.locator('.line').first().boundingBox();
    letVolumeCome();
    await page.locator('.volume svg').waitFor();
    assert.deepEqual(await page.locator('.line').first().boundingBox(), before);
  }));

test('rows are drawn in the same frame as their number', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ page }) => {
    await page.addInitScript(() => {
      window.framesWithout = 0;
      const look = () => {
        if (document.querySelector('[role=status]')?.textContent.includes('entries') && !document.querySelector('.line')) window.framesWithout += 1;
        requestAnimationFrame(look);
      };
      look();
    });
    await page.reload();
    await page.locator('.line').first().waitFor();
    assert.equal(await page.evaluate(() => window.framesWithout), 0);
  }));

test('dragging over the volume zooms in', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ page }) => {
    const box = await page.locator('.volume svg').boundingBox();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.99, box.y + 20, { steps: 4 });
    await page.mouse.up();
    await page.waitForURL(/since=.*until=/);
    await page.getByText('2 entries', { exact: true }).waitFor();
    await page.getByLabel('Time').selectOption('Any time');
    await page.getByText('6 entries', { exact: true }).waitFor();
  }));

/** Scrolls to an end of the list, and on as more is loaded, until this line is there. */
async function scrollTo(page, end, line) {
  const list = page.getByRole('list', { name: /Log entries/ });
  // Each step has its time: a list of a hundred thousand is loaded in two hundred.
  for (let height = 0; !(await lines(page)).includes(line); ) {
    await waitFor(`${line}, or more on the way to it`, async () => {
      const before = height;
      height = await list.evaluate((element, end) => {
        element.scrollTo(0, end === 'newest' ? 0 : element.scrollHeight);
        return element.scrollHeight;
      }, end);
      return height !== before || (await lines(page)).includes(line);
    });
  }
}

const numbered = (count) => (docker) =>
  docker.container('web').print(Array.from({ length: count }, (_, n) => `line number ${n}`), { time: (n) => new Date(Date.now() - 3_600_000 + n * 20) });

test('a hundred thousand rows scroll, and older ones are loaded on the way', () =>
  withPage({ fill: numbered(100_000), entries: 100_000 }, async ({ page }) => {
    await page.getByText('100,000 entries', { exact: true }).waitFor();
    assert.ok((await page.locator('.row').count()) < 120, 'only what is in sight is drawn');
    await scrollTo(page, 'oldest', 'line number 0');
    assert.ok((await page.locator('.row').count()) < 120);
    await page.getByRole('list', { name: /Log entries/ }).focus();
    await page.keyboard.press('Home');
    await waitFor('the newest line', async () => (await lines(page)).includes('line number 99999'));
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.locator('.opened').waitFor();
    assert.match(await page.locator('.row.current .message').textContent(), /line number 99998/);
  }));

test('what happened around a line goes on both ways', () =>
  withPage({ fill: numbered(2_000), entries: 2_000, path: '?contains=number+1000' }, async ({ page }) => {
    await page.getByRole('button', { name: 'line number 1000' }).click();
    await page.getByRole('link', { name: 'What happened around it' }).click();
    await page.locator('.line.marked').waitFor();
    const list = await page.getByRole('list', { name: /Log entries/ }).boundingBox();
    await waitFor('the newer neighbours', async () => !(await lines(page)).includes('line number 1250') && (await lines(page)).includes('line number 1000'));
    const marked = await page.locator('.line.marked').boundingBox();
    assert.ok(marked.y >= list.y && marked.y < list.y + list.height, 'in sight, with the newer ones put above it');
    await scrollTo(page, 'newest', 'line number 1999');
    await scrollTo(page, 'oldest', 'line number 0');
    await scrollTo(page, 'newest', 'line number 1999');
  }));

test('dates can be chosen', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ page }) => {
    const local = (minutes) => page.evaluate((time) => new Date(time - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 19), minutesAgo(minutes).getTime());
    await page.getByLabel('Time').selectOption('Choose dates…');
    const dialog = page.getByRole('dialog', { name: 'Choose dates' });
    await dialog.getByLabel('From').fill(await local(30));
    await dialog.getByLabel('To').fill(await local(40));
    await dialog.getByRole('button', { name: 'Show' }).click();
    assert.ok(await dialog.isVisible(), 'an end before the beginning is none');
    await dialog.getByLabel('To').fill('');
    await dialog.getByRole('button', { name: 'Show' }).click();
    await page.getByText('2 entries', { exact: true }).waitFor();
    assert.match(page.url(), /since=/);
    assert.equal(await dialog.isVisible(), false);
    assert.match(await page.getByLabel('Time').locator('option:checked').textContent(), /^Since /);
    await page.getByLabel('Time').selectOption('Any time');
    await page.getByText('6 entries', { exact: true }).waitFor();
  }));

test('the live tail pauses, counts, resumes, and survives a restart', () =>
  withPage({ fill: SHOP, entries: 6, path: '?live=1' }, async ({ page, service, docker, faults }) => {
    await page.getByText('; live').waitFor();
    const web = docker.container('later');
    web.print(['first']);
    await waitFor('the first', async () => (await lines(page))[0] === 'first');
    await page.getByRole('button', { name: 'Pause' }).click();
    web.print(['second', 'third']);
    await page.getByRole('button', { name: 'Resume (2 new)' }).click();
    await waitFor('what came meanwhile', async () => (await lines(page))[0] === 'third');
    assert.ok(!page.url().includes('key'), 'the key stays out of the address');

    await service.kill();
    await page.getByText(/Next try in/).waitFor();
    web.print(['while it was away']);
    const back = await startService('log-viewer', { LOG_SOURCES: docker.folder, POLL_INTERVAL: '1' }, service);
    await waitFor('the line of the meantime', async () => (await lines(page))[0] === 'while it was away');
    assert.equal((await lines(page)).filter((line) => line === 'third').length, 1);
    assert.deepEqual(faults, []);
    await back.kill();
  }));

test('while lines arrive live, none is shown twice or left out, whatever is done', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ page, service, docker }) => {
    // What arrives is drawn when the clock says so.
    await page.clock.install();
    await page.goto(`${service.url}?live=1`);
    await page.getByText('; live').waitFor();
    const feed = docker.container('feed');
    const times = async (line) => (await lines(page)).filter((other) => other === line).length;
    const untilDrawn = (line) =>
      waitFor(line, async () => {
        await page.clock.runFor(200);
        return (await lines(page))[0] === line;
      });
    const refresh = page.getByRole('button', { name: 'Refresh' });

    feed.print(['one']);
    await waitFor('the list to have it', async () => {
      await refresh.click();
      return (await times('one')) === 1;
    });
    feed.print(['two']);
    await untilDrawn('two');
    assert.equal(await times('one'), 1, 'in the list, and then by the live tail');

    let letAnswerCome;
    const isAllowed = new Promise((resolve) => (letAnswerCome = resolve));
    await page.route('**/api/logs?*', async (route) => {
      const response = await route.fetch();
      await isAllowed;
      await route.fulfill({ response });
    });
    const asked = page.waitForRequest('**/api/logs?*');
    await refresh.click();
    await asked;
    // The answer was made before this one.
    await waitFor('the answer to be made', async () => (await service.call('GET', 'api/logs?search=two')).total === 1);
    feed.print(['three']);
    await untilDrawn('three');
    letAnswerCome();
    await waitFor('the answer', async () => (await page.locator('[aria-busy="true"]').count()) === 0);
    assert.deepEqual([await times('two'), await times('three')], [1, 1], 'by the live tail while an older list was on its way');
    await page.unroute('**/api/logs?*');

    await page.getByRole('button', { name: 'Pause' }).click();
    feed.print(['four']);
    await waitFor('it to be counted', async () => {
      await page.clock.runFor(200);
      return page.getByRole('button', { name: 'Resume (1 new)' }).isVisible();
    });
    await refresh.click();
    await waitFor('the list to have it', async () => (await times('four')) === 1);
    await page.getByRole('button', { name: 'Resume' }).click();
    assert.equal(await times('four'), 1, 'kept while paused, and in the list since');

    // Another filter: what the one before found does not come along.
    await page.getByLabel('Container').selectOption('feed');
    feed.print(['five']);
    await untilDrawn('five');
    assert.deepEqual(await lines(page), ['five', 'four', 'three', 'two', 'one']);
  }));

test('a live tail that broke is taken up at once when told so', () =>
  withPage({ fill: SHOP, entries: 6, path: '?live=1' }, async ({ page }) => {
    await page.getByText('; live').waitFor();
    // There is room as soon as somebody asks for it, however often it was tried before.
    await page.evaluate(() => {
      window.isAsked = false;
      addEventListener('click', () => (window.isAsked = true), { capture: true, once: true });
    });
    await page.route('**/api/logs/tail*', async (route) => {
      if (await page.evaluate(() => window.isAsked)) await route.continue();
      else await route.fulfill({ status: 503, body: '{"detail":"Too many live tails"}' });
    });
    await page.getByLabel('Container').selectOption('web');
    await page.getByText(/Too many live tails Next try in/).waitFor();
    await page.getByRole('button', { name: 'Try now' }).click();
    await page.getByText('; live').waitFor();
    assert.match(page.url(), /live=1/);
    await page.getByRole('alert').waitFor({ state: 'detached' });
  }));

test('older lines that are refused are not asked for at every step', () =>
  withPage({ fill: numbered(500), entries: 500 }, async ({ page }) => {
    await page.getByText('500 entries', { exact: true }).waitFor();
    let asked = 0;
    const limit = { status: 429, headers: { 'Retry-After': '60' }, body: '{"detail":"Too many requests"}' };
    await page.route('**/api/logs?*before=*', (route) => {
      asked += 1;
      return route.fulfill(limit);
    });
    const list = page.getByRole('list', { name: /Log entries/ });
    const scroll = async (step) => {
      await list.evaluate((element, step) => element.scrollTo(0, element.scrollHeight - element.clientHeight - step), step);
      await page.evaluate(() => new Promise(requestAnimationFrame));
    };
    await scroll(0);
    // What is said goes away after some seconds.
    await page.getByText('Too many requests.').waitFor();
    for (let step = 1; step < 20; step++) await scroll(step);
    assert.equal(asked, 1);
  }));

test('keys go on from the line that was clicked, which is read aloud and stays the same as lines arrive', () =>
  withPage({ fill: SHOP, entries: 6, path: '?live=1' }, async ({ page, docker }) => {
    await page.getByText('; live').waitFor();
    await page.getByRole('button', { name: /slow query/ }).click();
    await page.keyboard.press('ArrowDown');
    const current = () => page.locator('.row.current .message').textContent();
    assert.equal(await current(), '[ERROR] timeout after 5 s');
    await page.locator('[aria-live]', { hasText: 'ERROR, web: [ERROR] timeout after 5 s' }).waitFor({ state: 'attached' });
    docker.container('later').print(['a new line']);
    await waitFor('the new line', async () => (await lines(page))[0] === 'a new line');
    assert.equal(await current(), '[ERROR] timeout after 5 s');
    // The keys of what is in an opened row are its own.
    await page.getByRole('button', { name: 'Copy' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText(/Copied|does not allow/).waitFor();
    assert.equal(await page.locator('.opened').count(), 1);
  }));

test('what is shown is exported', () =>
  withPage({ fill: SHOP, entries: 6, path: '?container=db' }, async ({ page }) => {
    await page.getByText('2 entries', { exact: true }).waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export' }).click()]);
    assert.equal(download.suggestedFilename(), 'db.txt');
    const text = (await (await download.createReadStream()).toArray()).join('');
    assert.match(text, /checkpoint complete/);
    assert.doesNotMatch(text, /timeout/);
  }));

test('hostile lines are only ever shown', () =>
  withPage(
    {
      fill: (docker) => {
        const evil = docker.container('evil');
        evil.print([...HOSTILE, `${'x'.repeat(1_000_000)}`, '{"a":"<script>reportViolation(1)</script>"}']);
        evil.printBytes(Buffer.from([0x62, 0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x65]));
      },
      entries: HOSTILE.length + 3,
    },
    async ({ page }) => {
      await page.locator('.line').first().waitFor();
      assert.match((await lines(page))[0], /^b\ufffd+\(\ufffd+e$/);
      for (const wrapped of [false, true]) {
        if (wrapped) await page.getByRole('button', { name: 'Wrap' }).click();
        for (let row = 0; row < 5; row++) await page.locator('.line').nth(row).click();
        assert.equal(await isTooWide(page), false);
      }
      assert.equal(await page.locator('#app script, #app img, #app iframe').count(), 0);
    },
  ));

for (const [name, options] of [['a phone', { phone: true }], ['the dark', { theme: 'dark' }]]) {
  test(`on ${name} everything fits, and axe finds nothing serious`, () =>
    withPage({ fill: SHOP, entries: 6, ...options }, async ({ page }) => {
      await page.getByText('6 entries', { exact: true }).waitFor();
      await page.locator('.line').first().click();
      await page.locator('.opened').waitFor();
      assert.equal(await isTooWide(page), false);
      assert.deepEqual(await accessibilityFindings(page), []);
    }));
}

test('it works below a path prefix, behind nginx, live tail included', () =>
  withPage({ fill: SHOP, entries: 6 }, async ({ service, docker }) => {
    const nginx = await startNginx('/log-viewer/', service.url);
    const { page, faults, close } = await openPage(browser, nginx.url, { path: '?container=later&live=1' });
    await page.getByText('; live').waitFor();
    docker.container('later').print(['through the proxy']);
    await waitFor('the line', async () => (await lines(page))[0] === 'through the proxy');
    assert.ok(page.url().startsWith(nginx.url));
    assert.deepEqual(faults, []);
    await close();
    await nginx.stop();
  }));
