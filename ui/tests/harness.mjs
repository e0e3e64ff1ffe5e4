// What every test here stands on: the real binary with a database of its own, and the real browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The API key of every service under test. */
export const KEY = 'a-key-for-tests';

/** How long anything may take before it has failed. */
export const PATIENCE_MS = 30_000;

/** Where services are: as `make` built them, or as cargo does by default. */
function binary(name) {
  const folder = process.env.MONLIGHT_BIN_DIR ?? join(here, '../../target/debug');
  const path = join(folder, name);
  assert.ok(existsSync(path), `${path} is not there; run \`make build\``);
  return path;
}

/** Calls `check` until it gives something true, for as long as anything may take. */
export async function waitFor(what, check, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A test that fails must not leave its processes behind. */
export function endsWithUs(child) {
  process.once('exit', () => child.kill('SIGKILL'));
  return child;
}

/** Starts a service with these variables; `url` ends with a slash. Give `folder` and `port` of one that stopped to start it again. */
export async function startService(name, variables = {}, { folder = mkdtempSync(join(tmpdir(), 'monlight-ui-')), port = 0 } = {}) {
  const child = endsWithUs(spawn(binary(name), [], {
    env: {
      API_KEY: KEY,
      ADMIN_API_KEY: KEY,
      BIND_ADDRESS: '127.0.0.1',
      PORT: String(port),
      RATE_LIMIT: '0',
      DATABASE_PATH: join(folder, 'service.db'),
      ...variables,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  }));
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text;
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const address = await waitFor(`${name} to listen`, () => {
    assert.equal(child.exitCode, null, log);
    return /listens on (\S+)/.exec(log)?.[1];
  });
  const url = `http://${address}/`;
  return {
    url,
    folder,
    port: Number(address.split(':').at(-1)),
    log: () => log,
    pid: child.pid,
    /** Sends JSON as a client does; the parsed answer. */
    async call(method, path, body, headers = {}) {
      const response = await fetch(new URL(path, url), {
        method,
        headers: { 'X-API-Key': KEY, 'Content-Type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
      return text ? JSON.parse(text) : undefined;
    },
    async kill(signal = 'SIGTERM') {
      child.kill(signal);
      await exited;
    },
    /** Ends it and removes what it stored. */
    async stop() {
      child.kill('SIGTERM');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Chromium without a profile. */
export async function startBrowser() {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
  assert.ok(path, 'chromium is not installed; run `make test`, which does it');
  return chromium.launch({
    executablePath: path,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/**
 * A page of a viewer of its own; `page.context()` opens more. `faults` collects what must never happen: violations of the content security policy,
 * exceptions, requests to elsewhere. With `key` it is in place as if it had been entered before.
 */
export async function openPage(browser, url, { key = KEY, phone = false, theme = 'light', path = '', options = {} } = {}) {
  const context = await browser.newContext({
    viewport: phone ? { width: 360, height: 740 } : { width: 1280, height: 800 },
    hasTouch: phone,
    colorScheme: theme,
    locale: 'en-GB',
    timezoneId: 'Europe/Zurich',
    reducedMotion: 'reduce',
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  context.on('weberror', (error) => faults.push(`exception: ${error.error()}`));
  context.on('request', (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !/^(data|blob):/.test(request.url())) faults.push(`request to ${request.url()}`);
  });
  await context.exposeFunction('reportViolation', (text) => faults.push(text));
  await context.addInitScript(
    ([name, key]) => {
      addEventListener('securitypolicyviolation', (event) => {
        window.reportViolation(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
      if (key && location.protocol === 'http:') sessionStorage.setItem(name, key);
    },
    [`monlight:key:${new URL(url).pathname}`, key],
  );
  const page = await context.newPage();
  await page.goto(new URL(path, url).href);
  return { page, faults, close: () => context.close() };
}

/** Whether the page is wider than its window, at its size and on the narrowest phones. */
export async function isTooWide(page) {
  const before = page.viewportSize();
  let isWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (isWide) return true;
  await page.setViewportSize({ width: 320, height: 640 });
  // Charts follow the width a frame later.
  isWide = await page.evaluate(async () => {
    const end = performance.now() + 2_000;
    while (document.documentElement.scrollWidth > innerWidth && performance.now() < end) await new Promise(requestAnimationFrame);
    return document.documentElement.scrollWidth > innerWidth;
  });
  await page.setViewportSize(before);
  return isWide;
}

/** Addresses below `url` that the page asks for from now on, without what is different each time. */
export function requestsOf(page, url) {
  const asked = [];
  page.on('request', (request) => asked.push(request.url().replace(url, '').replace(/(?<=[?&])(since|until)=[^&]*&?/g, '').replace(/[?&]$/, '')));
  return asked;
}

/** Serious and critical findings of axe, each in one line. */
export async function accessibilityFindings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} (${failureSummary})`).join('; ')}`);
}

/** Strings that must only ever be shown. */
export const HOSTILE = [
  '<script>reportViolation("script ran")</script>',
  '<img src=x onerror=\'reportViolation("handler ran")\'>',
  '"><svg onload=reportViolation(1)>',
  "javascript:reportViolation('link ran')",
  '\u202egnp.exe\u202c \u2066isolated',
  '\ud83d\ude00 \u0000\u0007\u001b[31mred',
  '{{constructor.constructor("reportViolation(2)")()}}',
  'W'.repeat(5_000),
];
