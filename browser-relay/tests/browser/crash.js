// Crashes minified applications in a browser and sends their stacks through a relay that has their source maps.
// Usage: node crash.js RELAY_URL DSN_KEY ADMIN_KEY; prints a JSON array of {name, stack, expected}.

import { builds, readable } from "../maps/crash-builds.js";
import { serve, withBrowser } from "./browser.js";

const [relay, key, admin] = process.argv.slice(2);
const made = await builds();
const pages = made.flatMap(({ name, code }) => [
  [`/${name}.html`, ["text/html", `<!doctype html><title>${name}</title><script src="/static/${name}.min.js"></script>`]],
  [`/static/${name}.min.js`, ["text/javascript", code]],
]);
const server = await serve(Object.fromEntries(pages));
const origin = `http://127.0.0.1:${server.address().port}`;
for (const { name, map } of made) {
  const upload = { project: "web", release: name, file_url: `${origin}/static/${name}.min.js`, map_content: map };
  const answer = await fetch(`${relay}/api/source-maps`, {
    method: "POST",
    headers: { "X-API-Key": admin },
    body: JSON.stringify(upload),
  });
  if (answer.status !== 201) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
}
const seen = await withBrowser(async (context) => {
  const all = [];
  for (const { name, map } of made) {
    for (const crash of ["crash", "crashInEval"]) {
      const page = await context.newPage();
      await page.goto(`${origin}/${name}.html`);
      const stack = await page.evaluate((crash) => globalThis[crash](), crash);
      const status = await page.evaluate(
        async ({ url, key, body }) => (await fetch(url, { method: "POST", headers: { "X-Monlight-Key": key }, body })).status,
        {
          url: `${relay}/api/browser/errors`,
          key,
          body: JSON.stringify({ type: "TypeError", message: `${name} ${crash}`, stack, release: name }),
        },
      );
      if (status !== 201) throw new Error(`${name}: ${status}`);
      const expected = await readable(stack, map, `${origin}/static/${name}.min.js`);
      all.push({ name: `${name} ${crash}`, stack, expected });
    }
  }
  return all;
});
server.close();
console.log(JSON.stringify(seen));
