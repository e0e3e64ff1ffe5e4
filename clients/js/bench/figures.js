// Measures what the client costs a page, and prints a line for each figure: name, goal, measured, met; separated by tabs.
import { gzipSync } from 'node:zlib';
import { bundle } from '../build.js';
import { pageOf, servePages, standInRelay, startBrowser } from '../tests/browser/stand.js';

/** What a release may have. */
const BUNDLE_GOAL = 5_120;
const FETCH_GOAL_US = 50;
/** Many, since the machine and the compiler of the browser have slow moments. */
const ROUNDS = 101;
const CALLS = 300;

function row(name, goal, measured, isMet) {
  console.log([name, goal, measured, isMet ? 'yes' : 'no'].join('\t'));
}

/** Vitals replaced by nothing. */
const withoutVitals = {
  plugins: [
    {
      name: 'without-vitals',
      setup: (build) => build.onLoad({ filter: /capture\/vitals\.ts$/ }, () => ({ contents: 'export function captureVitals() {}', loader: 'ts' })),
    },
  ],
};

async function sizes() {
  const size = async (options) => gzipSync((await bundle({ entry: 'src/script.ts', format: 'iife', file: 'monlight.min.js' }, options)).text, { level: 9 }).length;
  for (const [name, options] of [['script, gzip', {}], ['script, gzip, without vitals', withoutVitals]]) {
    const bytes = await size(options);
    row(name, `under 5 KB (${BUNDLE_GOAL} bytes)`, `${bytes} bytes`, bytes <= BUNDLE_GOAL);
  }
}

/** Microseconds of a request that is answered in the page, in turns with and without us: the middle of the differences. */
async function costOfFetch() {
  const relay = await standInRelay();
  const pages = await servePages({ '/': pageOf({ dsn: 'k', endpoint: relay.url, captureVitals: false }) });
  const browser = await startBrowser();
  const page = await browser.newPage();
  // What the browser's own request costs is no concern of ours, and noise.
  await page.addInitScript(() => {
    const answer = new Response('', { status: 200 });
    window.fetch = () => Promise.resolve(answer);
    window.bare = window.fetch;
  });
  await page.goto(pages.url);
  const cost = await page.evaluate(
    async ([rounds, calls]) => {
      const time = async (request) => {
        const start = performance.now();
        for (let call = 0; call < calls; call++) await request('/orders?step=2');
        return ((performance.now() - start) / calls) * 1_000;
      };
      const differences = [];
      for (let round = 0; round < rounds; round++) differences.push((await time(window.fetch)) - (await time(window.bare)));
      return differences.sort((a, b) => a - b)[rounds >> 1];
    },
    [ROUNDS, CALLS],
  );
  row('a wrapped fetch, beyond the bare call', `under ${FETCH_GOAL_US} µs`, `${cost.toFixed(1)} µs`, cost < FETCH_GOAL_US);
  await browser.close();
  await Promise.all([relay.stop(), pages.stop()]);
}

await sizes();
await costOfFetch();
