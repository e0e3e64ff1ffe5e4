// What people do with the interface of metrics-collector, in a real browser.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { HOSTILE, KEY, accessibilityFindings, isTooWide, openPage, startBrowser, startService, waitFor } from './harness.mjs';
import { sendValues, shopValues } from './metrics-data.mjs';
import { startNginx } from './nginx.mjs';

const run = promisify(execFile);
const SHOP_MINUTES = 300;

let browser;
let shop;
before(async () => {
  browser = await startBrowser();
  shop = await startShop();
});
after(async () => {
  await browser?.close();
  await shop?.stop();
});

/** A service that has the shop's last hours, whole rollups included. */
async function startShop() {
  const service = await startService('metrics-collector', { RETENTION_RAW: '24', AGGREGATION_INTERVAL: '1' });
  const values = shopValues(SHOP_MINUTES);
  await sendValues(service, values);
  await waitFor('all rollups', async () => {
    const { rollup_lag_seconds: lag } = await service.call('GET', 'health');
    const board = await service.call('GET', 'api/dashboard?period=24h');
    return lag !== null && lag < 60 && board.summary.total_datapoints === values.length;
  });
  return service;
}

const chart = (page, name) => page.getByRole('region', { name, exact: true });
const plot = (page, name) => chart(page, name).locator('.u-over');
const value = (page, name, key) => chart(page, name).locator('.key', { hasText: key }).locator('b').innerText();
/** What stands in a label beside this word. */
const control = (page, word) => page.locator('label.field').filter({ has: page.getByText(word, { exact: true }) }).locator('select');
const query = (page) => Object.fromEntries(new URL(page.url()).searchParams);

/** Whether the chart has pixels of this colour of the style sheet. */
async function isDrawn(page, name, colour) {
  return chart(page, name).evaluate((section, colour) => {
    section.style.color = `var(${colour})`;
    const [r, g, b] = getComputedStyle(section).color.match(/\d+/g).map(Number);
    section.style.color = '';
    const canvas = section.querySelector('canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let near = 0;
    for (let at = 0; at < data.length; at += 4) {
      const distance = Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b);
      if (data[at + 3] === 255 && distance < 12) near += 1;
    }
    return near > 20;
  }, colour);
}

/** Presses, moves and lets go over a chart, from one share of its width to another. */
async function drag(page, name, from, to) {
  await plot(page, name).scrollIntoViewIfNeeded();
  const { x, y, width, height } = await plot(page, name).boundingBox();
  await page.mouse.move(x + from * width, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + ((from + to) / 2) * width, y + height / 2);
  await page.mouse.move(x + to * width, y + height / 2);
  await page.mouse.up();
}

test('an empty service shows the line that sends a first value, and then the value', async () => {
  const service = await startService('metrics-collector');
  const { page, faults, close } = await openPage(browser, service.url);
  await page.getByRole('heading', { name: 'No metrics yet' }).waitFor();
  const command = await page.locator('.empty pre').innerText();
  assert.ok(command.includes(`${service.url}api/metrics`) && !command.includes(KEY), command);
  await run('sh', ['-c', command.replace('curl', 'curl --fail-with-body -sS')], { env: { ...process.env, KEY } });
  await page.getByRole('heading', { name: 'Requests', exact: true }).waitFor();
  await page.getByRole('link', { name: 'http_requests_total' }).waitFor();
  assert.deepEqual(faults, []);
  await close();
  await service.stop();
});

test('the dashboard tells rate, errors, latency and vitals, as the API does', async () => {
  const { page, faults, close } = await openPage(browser, shop.url, { path: '?period=24h' });
  await chart(page, 'Latency').waitFor();
  const { requests, web_vitals: vitals } = await shop.call('GET', 'api/dashboard?period=24h&resolution=hour');
  const tiles = await page.locator('.tiles').first().innerText();
  assert.ok(tiles.includes(`${requests.count.toLocaleString('en-GB')} in all`), tiles);
  assert.ok(tiles.includes(`${requests.errors.toLocaleString('en-GB')} with status 5xx`), tiles);
  for (const [name, colour] of [['Requests per second', '--series-0'], ['Error rate', '--bad'], ['Latency', '--series-1']]) {
    await waitFor(`${name} to be drawn`, () => isDrawn(page, name, colour));
  }
  const words = { good: 'good', 'needs-improvement': 'needs improvement', poor: 'poor' };
  for (const [name, { count, rating }] of Object.entries(vitals.summary)) {
    const tile = page.getByRole('button', { name: new RegExp(`^${name}`, 'i') });
    assert.match(await tile.innerText(), new RegExp(`${words[rating]}[^]*${count.toLocaleString('en-GB')} values`));
  }
  const checkout = page.getByRole('row', { name: /\/checkout/ });
  assert.match(await checkout.innerText(), /■\s*poor/);
  await page.getByRole('button', { name: /^CLS/ }).click();
  await page.getByText('Cumulative layout shift, 75th percentile').waitFor();
  await waitFor('the choice in the address', () => query(page).vital === 'cls');
  assert.deepEqual(faults, []);
  await close();
});

test('charts share a cursor, dragging zooms all of them, and back is back', async () => {
  const { page, faults, close } = await openPage(browser, shop.url, { path: '?period=6h&project=shop' });
  await chart(page, 'Latency').waitFor();
  await plot(page, 'Requests per second').hover();
  for (const name of ['Requests per second', 'Error rate', 'Latency', 'Largest contentful paint, 75th percentile']) {
    await waitFor(`the time in ${name}`, async () => (await chart(page, name).locator('.legend time').count()) === 1);
  }
  const times = await page.locator('.legend time').evaluateAll((all) => all.map(({ dateTime, title }) => `${dateTime} ${title}`));
  assert.equal(new Set(times).size, 1, times.join());
  assert.match(times[0], / UTC$/);
  const asked = page.waitForRequest((request) => request.url().includes('api/dashboard') && request.url().includes('from='));
  await drag(page, 'Latency', 0.5, 0.75);
  await waitFor('the zoom', () => query(page).to !== undefined);
  const { from, to } = query(page);
  const expected = 6 * 3_600 * 0.25;
  assert.ok(Math.abs(to - from - expected) < 300, `${to - from} s`);
  assert.ok((await asked).url().includes(`from=${from}&to=${to}`));
  await page.getByRole('button', { name: 'Reset zoom' }).waitFor();
  assert.ok(await control(page, 'Refresh').isDisabled());
  await page.getByRole('button', { name: 'Earlier' }).click();
  await waitFor('an earlier stretch', () => Number(query(page).from) < Number(from));
  await page.goBack();
  await waitFor('the stretch before', () => query(page).from === from);
  await page.getByRole('button', { name: 'Reset zoom' }).click();
  await waitFor('no zoom', () => query(page).from === undefined);
  assert.deepEqual(query(page), { period: '6h', project: 'shop' });
  assert.deepEqual(faults, []);
  await close();
});

test('dates can be chosen', async () => {
  const { page, faults, close } = await openPage(browser, shop.url, { path: '?period=6h&project=shop' });
  await chart(page, 'Latency').waitFor();
  await control(page, 'Time').selectOption('Choose dates…');
  const dialog = page.getByRole('dialog', { name: 'Choose dates' });
  await dialog.getByLabel('From').fill('2026-03-01T10:00:00');
  await dialog.getByLabel('To').fill('2026-03-01T11:30:00');
  await dialog.getByRole('button', { name: 'Show' }).click();
  await waitFor('the stretch', () => query(page).to !== undefined);
  const moments = await page.evaluate(() => ['2026-03-01T10:00:00', '2026-03-01T11:30:00'].map((text) => String(new Date(text).getTime() / 1000)));
  assert.deepEqual([query(page).from, query(page).to], moments);
  await control(page, 'Time').selectOption('Last hour');
  await waitFor('no dates', () => query(page).from === undefined);
  assert.equal(query(page).period, '1h');
  assert.deepEqual(faults, []);
  await close();
});

test('the explorer finds a metric, groups, filters and aggregates; a link shows the same', async () => {
  const { page, faults, close } = await openPage(browser, shop.url, { path: '?period=6h&view=explorer' });
  await page.getByLabel('Search metrics').fill('REQUESTS tot');
  await page.getByRole('link', { name: /http_requests_total/ }).click();
  await page.getByRole('heading', { name: /http_requests_total/ }).waitFor();
  await page.getByRole('button', { name: 'endpoint', exact: true }).click();
  await page.getByRole('row', { name: /endpoint=\/products\/\{id\}/ }).waitFor();
  assert.equal(await page.getByRole('checkbox').count(), 6);
  await page.getByLabel('Label', { exact: true }).selectOption('status');
  await page.getByLabel('Value', { exact: true }).fill('500');
  await page.keyboard.press('Enter');
  await waitFor('the filter', async () => (await page.getByRole('checkbox').count()) === 1);
  await control(page, 'Show').selectOption({ label: 'Sum' });
  const { data } = await shop.call('GET', 'api/metrics?name=http_requests_total&period=6h&agg=sum&labels=status:500&group_by=endpoint');
  const largest = Math.max(...data.map(({ value }) => value));
  assert.equal(new Set(data.map(({ labels }) => labels.endpoint)).size, 1);
  await page.getByRole('region', { name: 'Sum by endpoint' }).waitFor();
  await waitFor('the sums', async () => (await page.getByRole('row', { name: /checkout/ }).innerText()).trim().endsWith(`\t${largest}`));
  await waitFor('the line', () => isDrawn(page, 'Sum by endpoint', '--series-0'));
  const shown = { period: '6h', metric: 'http_requests_total', type: 'counter', by: 'endpoint', labels: 'status:500', agg: 'sum' };
  assert.deepEqual(query(page), shown);

  const other = await openPage(browser, shop.url, { path: new URL(page.url()).search });
  await other.page.getByRole('region', { name: 'Sum by endpoint' }).waitFor();
  await other.page.getByRole('button', { name: /status = 500/ }).click();
  await waitFor('all statuses', async () => (await other.page.getByRole('checkbox').count()) === 6);
  await other.page.getByRole('checkbox').first().uncheck();
  await waitFor('a line less', async () => !(await isDrawn(other.page, 'Sum by endpoint', '--series-0')));
  assert.deepEqual([...faults, ...other.faults], []);
  await other.close();
  await close();
});

test('percentiles of a histogram are shown together, and one of them by group', async () => {
  const { page, close } = await openPage(browser, shop.url, { path: '?period=6h&metric=http_request_duration_seconds' });
  for (const name of ['p50', 'p95', 'p99']) await page.getByRole('row', { name: new RegExp(name) }).waitFor();
  await page.getByRole('button', { name: 'endpoint', exact: true }).click();
  await page.getByRole('region', { name: 'p95 by endpoint' }).waitFor();
  await page.getByRole('row', { name: /endpoint=\/cart/ }).waitFor();
  const choices = await control(page, 'Show').locator('option').allTextContents();
  assert.ok(!choices.includes('p50, p95, p99') && choices.includes('p99'), choices.join());
  await close();
});

test('links of the original show what they showed', async () => {
  const { page, close } = await openPage(browser, shop.url, {
    path: '?project=shop&period=6h&refresh=60&metric=workers_busy&latency=web_vitals_ttfb',
  });
  await page.getByRole('heading', { name: /workers_busy gauge/ }).waitFor();
  assert.equal(await control(page, 'Refresh').inputValue(), '60');
  assert.equal(await control(page, 'Project').inputValue(), 'shop');
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await chart(page, 'web_vitals_ttfb').waitFor();
  assert.match(await value(page, 'web_vitals_ttfb', 'p95'), /ms$/);
  await chart(page, 'web_vitals_ttfb').getByLabel('Histogram').selectOption('');
  await chart(page, 'Latency').waitFor();
  assert.deepEqual(query(page), { project: 'shop', period: '6h', refresh: '60' });
  await close();
});

test('it refreshes by itself, unless it is zoomed or told not to', async () => {
  const service = await startService('metrics-collector');
  const send = (value) => service.call('POST', 'api/metrics', [{ name: 'queue', type: 'gauge', value, labels: {} }]);
  await send(1);
  const { page, close } = await openPage(browser, service.url, { path: '?metric=queue&agg=count&refresh=10&period=1h' });
  const largest = async () => (await page.getByRole('row', { name: /gauge/ }).innerText()).split('\t').at(-1)?.trim();
  await waitFor('the first value', async () => (await page.getByRole('row', { name: /gauge/ }).count()) === 1);
  const before = Number(await largest());
  await page.clock.install();
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await Promise.all(Array.from({ length: 50 }, () => send(2)));
  await waitFor('a refresh', async () => {
    await page.clock.fastForward(10_000);
    return Number(await largest()) > before + 20;
  });
  await control(page, 'Refresh').selectOption('0');
  await page.clock.fastForward(1_000);
  const asked = [];
  page.on('request', (request) => request.url().includes('api/metrics?') && asked.push(request.url()));
  await waitFor('what was under way', async () => (await page.locator('[aria-busy="true"]').count()) === 0);
  asked.length = 0;
  await page.clock.fastForward(50_000);
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await waitFor('one request', () => asked.length > 0);
  assert.equal(asked.length, 1);
  await close();
  await service.stop();
});

test('the keyboard is enough', async () => {
  const { page, faults, close } = await openPage(browser, shop.url, { path: '?period=6h' });
  await chart(page, 'Latency').waitFor();
  const tabTo = async (what) => {
    for (let turn = 0; turn < 60; turn++) {
      await page.keyboard.press('Tab');
      const name = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent);
      if (what.test(name ?? '')) return page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    }
    throw new Error(`tabbing never came to ${what}`);
  };
  assert.notEqual(await tabTo(/^Latency: chart/), 'none', 'focus is seen');
  await page.keyboard.press('ArrowLeft');
  await chart(page, 'Latency').locator('[aria-live]', { hasText: /p50 .*p95 .*p99/ }).waitFor({ state: 'attached' });
  for (let turn = 0; turn < 5; turn++) await page.keyboard.press('Shift+PageUp');
  await page.keyboard.press('Enter');
  await waitFor('the zoom', () => query(page).from !== undefined);
  const { from, to } = query(page);
  assert.ok(Math.abs(to - from - 3_000) < 120, `${to - from} s`);
  await page.keyboard.press('Escape');
  await waitFor('no zoom', () => query(page).from === undefined);
  await page.evaluate(() => document.activeElement.blur());
  await tabTo(/^Explorer$/);
  await page.keyboard.press('Enter');
  // Tabbing goes past what is not there yet.
  await page.getByRole('link', { name: /^orders_total/ }).waitFor();
  await tabTo(/^orders_total/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: /orders_total/ }).waitFor();
  await page.getByRole('button', { name: 'country', exact: true }).waitFor();
  await tabTo(/^country$/);
  await page.keyboard.press('Space');
  await page.getByRole('row', { name: /country=CH/ }).waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test('hostile names, labels, pages and projects are only ever shown', async () => {
  const service = await startService('metrics-collector');
  const cut = (text, length) => [...text].slice(0, length).join('');
  const values = HOSTILE.flatMap((text) => [
    { name: cut(text, 48), type: 'gauge', value: 1e300, labels: { [cut(text, 24)]: cut(text, 250), other: 'x' }, project: cut(text, 24) },
    { name: 'http_requests_total', type: 'counter', value: 1, labels: { status: cut(text, 250), endpoint: cut(text, 250) } },
    { name: 'http_request_duration_seconds', type: 'histogram', value: 1, labels: { endpoint: cut(text, 250) } },
    { name: 'web_vitals_lcp', type: 'histogram', value: -1, labels: { source: 'browser', page: cut(text, 250) } },
  ]);
  await service.call('POST', 'api/metrics', values);
  const { page, faults, close } = await openPage(browser, service.url);
  await chart(page, 'Latency').waitFor();
  await page.getByRole('cell', { name: '<script>', exact: false }).first().waitFor();
  assert.equal(await isTooWide(page), false);
  for (const metric of [...HOSTILE.map((text) => cut(text, 48)), 'http_requests_total']) {
    const search = new URLSearchParams({ metric, by: `endpoint,${cut(HOSTILE[0], 24)}`, project: cut(HOSTILE[1], 24), labels: metric });
    for (const path of [`?${search}`, `?metric=${encodeURIComponent(metric)}&by=status`]) {
      await page.goto(new URL(path, service.url).href);
      await page.locator('.explored h2').first().waitFor();
      await page.locator('.chart, .empty, .trouble').first().waitFor();
      assert.equal(await isTooWide(page), false, path);
    }
  }
  assert.deepEqual(faults, []);
  await close();
  await service.stop();
});

test('what cannot be asked is said in words, and the way back is there', async () => {
  const { page, faults, close } = await openPage(browser, shop.url, { path: '?period=1w' });
  await page.getByRole('alert').getByText("parameter 'period': expected a number and s, m, h or d, got '1w'").waitFor();
  await control(page, 'Time').selectOption('6h');
  await chart(page, 'Latency').waitFor();
  await page.getByRole('alert').waitFor({ state: 'detached' });
  await page.goto(`${shop.url}?period=24h&project=nobody`);
  await page.getByRole('heading', { name: 'No values in this time' }).waitFor();
  assert.equal(await isTooWide(page), false);
  await page.getByRole('button', { name: 'Look at all projects' }).click();
  await chart(page, 'Latency').waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test('every page is accessible and fits a phone, in both themes', async () => {
  for (const path of ['?period=6h', '?period=6h&metric=http_requests_total&by=endpoint,status']) {
    for (const theme of ['light', 'dark']) {
      for (const phone of [false, true]) {
        const { page, faults, close } = await openPage(browser, shop.url, { path, theme, phone });
        await page.locator('.chart canvas').first().waitFor();
        // What is below the window's edge comes later.
        if (!path.includes('metric')) await page.getByRole('heading', { name: 'Busiest metrics' }).waitFor();
        assert.deepEqual(await accessibilityFindings(page), [], `${path} ${theme} ${phone}`);
        assert.equal(await isTooWide(page), false, path);
        assert.deepEqual(faults, []);
        await close();
      }
    }
  }
});

test('a chosen theme is that of the charts too', async () => {
  const { page, close } = await openPage(browser, shop.url, { path: '?period=6h' });
  await chart(page, 'Latency').waitFor();
  await waitFor('the chart', () => isDrawn(page, 'Latency', '--series-0'));
  await page.getByRole('button', { name: /^Theme/ }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await waitFor('the chart in the dark', () => isDrawn(page, 'Latency', '--series-0'));
  await close();
});

test('it works below a path prefix, behind nginx', async () => {
  const nginx = await startNginx('/monitoring/metrics/', shop.url);
  const { page, faults, close } = await openPage(browser, nginx.url, { path: '?period=6h' });
  await chart(page, 'Latency').waitFor();
  await page.getByRole('link', { name: 'Explorer' }).click();
  await page.getByRole('link', { name: /orders_total/ }).click();
  await page.getByRole('button', { name: 'country' }).click();
  await page.getByRole('row', { name: /country=CH/ }).waitFor();
  assert.ok(page.url().startsWith(`${nginx.url}?`), page.url());
  await page.reload();
  await page.getByRole('row', { name: /country=CH/ }).waitFor();
  assert.deepEqual(faults, []);
  await close();
  await nginx.stop();
});
