// Usage: node record.js    Writes chrome.stack: what Chromium says when the functions of app.ts throw.

import { readFileSync, writeFileSync } from "node:fs";

import { serve, withBrowser } from "../browser/browser.js";

const here = new URL("./", import.meta.url);
const read = (name) => readFileSync(new URL(name, here), "utf8");
const files = { "/static/app.min.js": ["text/javascript", read("app.min.js")], "/page.js": ["text/javascript", read("page.js")] };
const server = await serve(files);
const origin = `http://127.0.0.1:${server.address().port}`;
const stacks = await withBrowser(async (context) => {
  const page = await context.newPage();
  await page.goto(origin);
  await page.addScriptTag({ url: "/static/app.min.js" });
  await page.addScriptTag({ url: "/page.js" });
  return page.evaluate(() => globalThis.stacks);
});
server.close();
const text = stacks.map((stack) => `${stack}\n`).join("\n");
writeFileSync(new URL("chrome.stack", here), text.replaceAll(origin, "https://shop.example"));
