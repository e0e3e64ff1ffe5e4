// Measures the interfaces with much behind them. Prints lines of a figure's name, its goal, what was measured and whether that is met,
// separated by tabs. `make bench` runs it; MONLIGHT_BIN_DIR says where the services are, MONLIGHT_BIN_DIR_WITHOUT_UI where the same
// are without their interfaces.
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dockerFolder } from '../tests/docker-logs.mjs';
import { openPage, startBrowser, startService, waitFor } from '../tests/harness.mjs';
import { sendValues } from '../tests/metrics-data.mjs';
import { middle, paints } from './paint.mjs';

const GROUPS = 100_000;
const ENTRIES = 1_000_000;
const SERIES = 2_000;
const RUNS = 7;
const PAINT_MS = 300;
const GROWTH_KB = 100;
const LIVE_SECONDS = 60;
const LIVE_PER_SECOND = 1_000;
const dist = join(dirname(fileURLToPath(import.meta.url)), '../dist');
const browser = await startBrowser();

function row(name, goal, measured, isMet) {
  console.log([name, goal, measured, isMet ? 'yes' : 'no'].join('\t'));
}

function sizes(service, goalKb) {
  const folder = join(dist, service);
  const bytes = (files) => files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  const assets = bytes(readdirSync(join(folder, 'assets')).map((file) => join('assets', file)));
  const load = (assets + bytes(['page.html'])) / 1000;
  row(`${service}: first load, compressed`, `under ${goalKb} KB`, `${load.toFixed(1)} KB`, load < goalKb);
  const binary = (folder) => statSync(join(process.env[folder], service)).size;
  const growth = (binary('MONLIGHT_BIN_DIR') - binary('MONLIGHT_BIN_DIR_WITHOUT_UI')) / 1000;
  row(`${service}: growth of its binary`, `under ${GROWTH_KB} KB`, `${growth.toFixed(1)} KB`, growth < GROWTH_KB);
}

async function firstPaint(name, service, selector) {
  const took = middle((await paints(browser, service.url, '', selector, RUNS)).map(({ drawn }) => drawn));
  row(`${name}: first useful paint`, `under ${PAINT_MS} ms`, `${Math.round(took)} ms`, took < PAINT_MS);
}

async function errors() {
  const service = await startService('error-tracker');
  const report = (number) => ({
    project: `project-${number % 20}`,
    exception_type: 'ValueError',
    message: `no order ${number}`,
    traceback: `Traceback (most recent call last):\n  File "/app/part${number}.py", line 7, in run\nValueError`,
  });
  let next = 0;
  const send = async () => {
    while (next < GROUPS) await service.call('POST', 'api/errors', report(next++));
  };
  await Promise.all(Array.from({ length: 32 }, send));
  await firstPaint(`error-tracker, ${GROUPS.toLocaleString('en')} groups`, service, '.errors .title');
  await service.stop();
}

async function logs() {
  const docker = dockerFolder();
  const web = docker.container('web');
  const chunk = 50_000;
  for (let start = 0; start < ENTRIES; start += chunk) {
    web.print(Array.from({ length: chunk }, (_, n) => `GET /orders/${start + n} ${n % 50 ? 200 : 500} in ${n % 97} ms`), {
      time: (n) => new Date(Date.now() - 86_400_000 + ((start + n) * 86_400_000) / ENTRIES),
    });
  }
  const variables = { LOG_SOURCES: docker.folder, MAX_ENTRIES: '1200000', TAIL_BUFFER: String(2 ** 31), POLL_INTERVAL: '1' };
  const service = await startService('log-viewer', variables);
  await waitForEntries(service, ENTRIES);
  await firstPaint(`log-viewer, ${ENTRIES.toLocaleString('en')} entries`, service, '.line');
  await live(service, docker);
  await service.stop();
  docker.remove();
}

async function waitForEntries(service, count) {
  for (;;) {
    if ((await service.call('GET', 'api/stats')).total_logs >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** A page that is fed for a minute: what holds it up, and what it holds. */
async function live(service, docker) {
  const container = docker.container('chatty');
  const { page, close } = await openPage(browser, service.url, { path: '?live=1' });
  await page.getByText('; live').waitFor();
  await page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
  });
  const parts = 10;
  for (let turn = 0; turn < LIVE_SECONDS * parts; turn++) {
    container.print(Array.from({ length: LIVE_PER_SECOND / parts }, (_, n) => `live line ${turn * 100 + n}`));
    await new Promise((resolve) => setTimeout(resolve, 1000 / parts));
  }
  const last = `live line ${LIVE_SECONDS * LIVE_PER_SECOND - 1}`;
  await waitFor('the last line', async () => (await page.locator('.line .message').first().textContent()) === last);
  const tasks = await page.evaluate(() => window.longTasks);
  const client = await page.context().newCDPSession(page);
  await client.send('HeapProfiler.collectGarbage');
  const { usedSize } = await client.send('Runtime.getHeapUsage');
  const longest = Math.max(0, ...tasks);
  row(`log-viewer, ${LIVE_PER_SECOND.toLocaleString('en')} lines/s live for ${LIVE_SECONDS} s: longest task`, 'under 100 ms', `${Math.round(longest)} ms`, longest < 100);
  row('log-viewer, after that: heap of the page', 'bounded', `${(usedSize / 1e6).toFixed(0)} MB`, usedSize < 100e6);
  await close();
}

async function metrics() {
  const service = await startService('metrics-collector');
  const values = [];
  for (let ago = 30; ago >= 0; ago--) {
    const timestamp = new Date(Date.now() - ago * 60_000).toISOString();
    for (let number = 0; number < SERIES; number++) {
      values.push({ name: 'http_requests_total', type: 'counter', value: 1, labels: { endpoint: `/e${number}`, status: '200' }, timestamp });
    }
  }
  await sendValues(service, values);
  await firstPaint(`metrics-collector, ${SERIES.toLocaleString('en')} series`, service, '.u-over');
  await service.stop();
}

sizes('error-tracker', 45);
sizes('log-viewer', 45);
sizes('metrics-collector', 60);
await errors();
await logs();
await metrics();
await browser.close();
