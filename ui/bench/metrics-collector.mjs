// How soon metrics-collector's page shows its charts with 2,000 series behind it, counted from the start of the response.
// Usage: MONLIGHT_BIN_DIR=… node ui/bench/metrics-collector.mjs [runs]
import { startBrowser, startService } from '../tests/harness.mjs';
import { sendValues } from '../tests/metrics-data.mjs';
import { middle, paints } from './paint.mjs';

const SERIES = 2_000;
const MINUTES = 55;
const RUNS = Number(process.argv[2] ?? 15);

const PAGES = {
  'dashboard, an hour': '?period=1h',
  'dashboard, a day': '?period=24h',
  'explorer, a counter': '?metric=http_requests_total&type=counter&period=1h',
  'explorer, 500 lines': '?metric=http_request_duration_seconds&type=histogram&by=endpoint&agg=p95&period=15m',
};

/** A value of each series in every minute: a quarter each of requests, durations, Web Vitals, and gauges of many names. */
function values() {
  const kinds = [
    (number) => ['http_requests_total', 'counter', 1, { endpoint: `/e${number}`, status: number % 50 ? '200' : '500' }],
    (number) => ['http_request_duration_seconds', 'histogram', (number % 97) / 100, { endpoint: `/e${number}` }],
    (number) => ['web_vitals_lcp', 'histogram', number * 2, { source: 'browser', page: `/p${number}` }],
    (number) => [`gauge_${number}`, 'gauge', number, { host: `h${number}` }],
  ];
  const all = [];
  for (let ago = MINUTES; ago >= 0; ago--) {
    const timestamp = new Date(Date.now() - ago * 60_000).toISOString();
    for (let number = 0; number < SERIES; number++) {
      const [name, type, value, labels] = kinds[number % kinds.length](number);
      all.push({ name, type, value, labels, timestamp });
    }
  }
  return all;
}

const service = await startService('metrics-collector');
const browser = await startBrowser();
await sendValues(service, values());
for (const [what, path] of Object.entries(PAGES)) {
  const runs = await paints(browser, service.url, path, '.u-over', RUNS);
  const figures = (key) => {
    const times = runs.map((run) => run[key]);
    return `${Math.round(Math.min(...times))} ms at best, ${Math.round(middle(times))} ms in the middle`;
  };
  console.log(`${what}: first paint ${figures('first')}; charts ${figures('drawn')}`);
}
await browser.close();
await service.stop();
