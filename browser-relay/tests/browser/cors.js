// What pages of two origins can do with a relay that allows http://127.0.0.1:*.
// Usage: node cors.js RELAY_URL DSN_KEY; prints one JSON object.

import { serve, withBrowser } from "./browser.js";

const [relay, key] = process.argv.slice(2);

// Runs in the page: what a script there reads of an answer.
async function post({ url, headers, body }) {
  try {
    const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body });
    return { status: answer.status, body: await answer.text(), retryAfter: answer.headers.get("retry-after") };
  } catch (error) {
    return { error: error.name };
  }
}

const error = JSON.stringify({ type: "TypeError", message: "from a browser", stack: "s" });
const errors = `${relay}/api/browser/errors`;
const server = await serve();
const port = server.address().port;
const seen = await withBrowser(async (context) => {
  const allowed = await context.newPage();
  await allowed.goto(`http://127.0.0.1:${port}/`);
  const strange = await context.newPage();
  await strange.goto(`http://localhost:${port}/`);
  const withKey = { "X-Monlight-Key": key };
  const metrics = `${relay}/api/browser/metrics?key=${encodeURIComponent(key)}`;
  return {
    taken: await allowed.evaluate(post, { url: errors, headers: withKey, body: error }),
    wrongKey: await allowed.evaluate(post, { url: errors, headers: { "X-Monlight-Key": "wrong" }, body: error }),
    wrongBody: await allowed.evaluate(post, { url: errors, headers: withKey, body: "{" }),
    tooLarge: await allowed.evaluate(post, { url: errors, headers: withKey, body: "x".repeat(100000) }),
    wrongPath: await allowed.evaluate(post, { url: `${relay}/api/browser/nothing`, headers: withKey, body: error }),
    wrongQuery: await allowed.evaluate(post, { url: `${errors}?release=%zz`, headers: withKey, body: error }),
    strange: await strange.evaluate(post, { url: errors, headers: withKey, body: error }),
    beacon: await allowed.evaluate(
      ({ url, body }) => navigator.sendBeacon(url, new Blob([body], { type: "application/json" })),
      {
        url: metrics,
        body: JSON.stringify({ metrics: [{ name: "web_vitals_cls", type: "histogram", value: 0.1 }] }),
      },
    ),
    // Before the limit is used up: a beacon is answered when the browser likes.
    isBeaconAnswered: await allowed
      .waitForFunction((url) => performance.getEntriesByName(url).length > 0, metrics)
      .then(() => true),
    tooOften: await allowed.evaluate(
      async ({ url, headers, body }) => {
        for (let tries = 0; tries < 1000; tries++) {
          const answer = await fetch(url, { method: "POST", headers, body });
          if (answer.status === 429) return { status: 429, retryAfter: answer.headers.get("retry-after") };
        }
        return null;
      },
      { url: errors, headers: { "Content-Type": "application/json", ...withKey }, body: error },
    ),
  };
});
server.close();
console.log(JSON.stringify(seen));
