// How soon an interface shows something useful.
import { openPage } from '../tests/harness.mjs';

/**
 * For each run, milliseconds from the start of the response to the first paint, and until `selector` is drawn. Each is a new
 * tab that has nothing in its cache. They share a window: a new one is busy with the browser's own pages for half a second.
 */
export async function paints(browser, url, path, selector, runs) {
  const { page: first, close } = await openPage(browser, url, { path });
  await first.locator(selector).first().waitFor();
  await first.goto(`${url}assets/none`);
  const all = [];
  for (let run = 0; run < runs; run++) {
    const page = await first.context().newPage();
    await (await first.context().newCDPSession(page)).send('Network.setCacheDisabled', { cacheDisabled: true });
    await page.addInitScript((selector) => {
      window.drawn = new Promise((done) => {
        const look = () => requestAnimationFrame(document.querySelector(selector) ? () => setTimeout(() => done(performance.now())) : look);
        look();
      });
    }, selector);
    await page.goto(`${url}assets/none`);
    await page.goto(url + path);
    const [drawn, contentful, start] = await page.evaluate(async () => {
      const drawn = await window.drawn;
      // The browser says so a moment after it was seen.
      const contentful = await new Promise((resolve) => {
        const observer = new PerformanceObserver((list) => list.getEntriesByName('first-contentful-paint').forEach(resolve));
        observer.observe({ type: 'paint', buffered: true });
      });
      return [drawn, contentful.startTime, performance.getEntriesByType('navigation')[0].responseStart];
    });
    all.push({ first: contentful - start, drawn: drawn - start });
    await page.close();
  }
  await close();
  return all;
}

/** The middle of the runs. */
export function middle(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}
