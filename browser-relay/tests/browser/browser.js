// A real browser and pages on origins of their own, for the tests of this folder.

import http from "node:http";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const EXECUTABLE = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(fs.existsSync);
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// Serves `files`, a map from path to [type, text], on a free port; `/` is an empty page unless it is among them.
export function serve(files = {}) {
  const server = http.createServer((request, response) => {
    const [type, text] = files[new URL(request.url, "http://x").pathname] ?? ["text/html", "<!doctype html><title>page</title>"];
    response.writeHead(200, { "content-type": type });
    response.end(text);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

// Runs `work` with a browser that leaves nothing behind.
export async function withBrowser(work) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "monlight-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    headless: true,
    args: ARGUMENTS,
  });
  try {
    return await work(context);
  } finally {
    await context.close();
    // Its helpers may write a moment longer than it lives.
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
