// The examples of the README do what they say.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { servePages, standInRelay, startBrowser, waitFor } from './stand.js';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = (language) => [...readme.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, 'g'))].map(([, text]) => text);

let browser;
let relay;
let pages;
const html = {};
beforeAll(async () => {
  [browser, relay, pages] = await Promise.all([startBrowser(), standInRelay(), servePages(html)]);
});
afterAll(async () => {
  await Promise.all([browser.close(), relay.stop(), pages.stop()]);
});

test.each(['script', 'module'])('the %s', async (kind) => {
  relay.requests.length = 0;
  const [start, use] = blocks('js');
  const [tag] = blocks('html');
  const importable = start.replace('@monlight/browser', '/monlight.esm.js');
  const text = kind === 'script' ? `${tag}<script>const monlight = window.Monlight; ${use}</script>` : `<script type="module">${importable}${use}</script>`;
  html['/'] = `<!doctype html><link rel="icon" href="data:,">${text}`.replaceAll('https://monitoring.example.com', relay.url);
  const page = await browser.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.goto(pages.url);
  await page.goto('about:blank');
  await waitFor('everything', () => relay.errors().length === 2 && relay.metrics().some(({ name }) => name === 'items_in_cart'));
  expect(faults).toEqual([]);
  // The page ends: what leaves by a beacon may overtake what is under way.
  expect(relay.errors().find(({ message }) => message === 'the cart is empty')).toMatchObject({ release: '1.4.0', context: { cart: [1, 2] } });
  expect(relay.metrics().find(({ name }) => name === 'orders_total')).toMatchObject({ type: 'counter', value: 1, labels: { payment: 'card' } });
  await page.close();
});

test('every setting is in the table, with its default', async () => {
  const { settingsOf } = await import('../../src/config');
  const settings = settingsOf({ dsn: 'k', endpoint: 'e' });
  for (const [name, value] of Object.entries(settings)) {
    if (name !== 'dsn' && name !== 'endpoint') expect(readme).toMatch(`| \`${name}\` | \`${JSON.stringify(value)}\` |`);
  }
  const config = readFileSync(new URL('../../src/config.ts', import.meta.url), 'utf8');
  for (const [, name] of config.matchAll(/^ {2}(\w+)\??: /gm)) expect(readme).toContain(`\`${name}\``);
});
