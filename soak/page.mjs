// A page in Chromium that uses our browser client: reports errors, measures, and is now and then left for the next page.
// Usage: node soak/page.mjs ENDPOINT DSN EVENTS_PER_SECOND
//
// Says in lines of JSON what it makes, when all that this page made has arrived, and when the page is left: what waited then
// went to the browser and to the next page, and nobody can know what became of it. Ends when its standard input does.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { pageOf, servePages, startBrowser } from '../clients/js/tests/browser/stand.js';

const [endpoint, dsn, rate] = process.argv.slice(2);
/** More would find no room in the client when the relay is away for long. */
const WAITING_MAX = 20;
/** Between two pages. */
const VISIT_MS = [5_000, 20_000];

const say = (line) => console.log(JSON.stringify(line));

let isOver = false;
process.stdin.on('end', () => (isOver = true)).resume();

// Only what is made here: vitals and failed requests would be more.
const config = { dsn, endpoint, release: '1.0.0', captureVitals: false, captureNetwork: false, captureConsole: false };
const browser = await startBrowser();
const pages = await servePages({ '/shop': pageOf(config), '/cart': pageOf(config) });
const page = await browser.newPage();

const stats = () => page.evaluate(() => window.Monlight.stats());
const flush = () => page.evaluate(() => window.Monlight.flush());

/** An error and some values, each of its own. */
const make = (number) =>
  page.evaluate((number) => {
    class PageError extends Error {
      name = `PageError${number}`;
    }
    window.Monlight.captureError(new PageError(`no such order: ${number}`));
    window.Monlight.histogram('page_ms', number, { city: 'berlin' });
    window.Monlight.gauge('page_orders', number);
  }, number);

/** The life of a page; returns the last number. */
async function visit(number) {
  const end = Date.now() + randomInt(...VISIT_MS);
  while (Date.now() < end && !isOver) {
    const { waiting, lost } = await stats();
    say({ lost, delivered: waiting === 0 });
    if (waiting < WAITING_MAX) {
      number++;
      say({ error: `PageError${number}`, values: [`page_ms ${number}`, `page_orders ${number}`] });
      await make(number);
    }
    await sleep((1_000 * Math.random() * 2) / rate);
  }
  return number;
}

let number = 0;
for (let turn = 0; !isOver; turn++) {
  say({ left: true });
  await page.goto(`${pages.url}${turn % 2 ? '/cart' : '/shop'}`);
  number = await visit(number);
}
// Whatever happened, it delivers everything.
while (!(await flush())) await sleep(200);
say({ lost: (await stats()).lost, delivered: true });
await browser.close();
await pages.stop();
