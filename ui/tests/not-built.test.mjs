// A service that was built before its interface was: `cargo build` works, and its page says how to get the interface.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ui = join(dirname(fileURLToPath(import.meta.url)), '..');

test('without bundles each service has the page that says how to build them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'monlight-not-built-'));
  const out = join(folder, 'out');
  mkdirSync(out);
  for (const file of ['build.rs', 'not-built.html']) copyFileSync(join(ui, file), join(folder, file));
  execFileSync('rustc', ['--edition', '2024', join(folder, 'build.rs'), '-o', join(folder, 'build')]);
  const said = execFileSync(join(folder, 'build'), { env: { ...process.env, CARGO_MANIFEST_DIR: folder, OUT_DIR: out }, encoding: 'utf8' });
  const code = readFileSync(join(out, 'interfaces.rs'), 'utf8');
  for (const service of ['error-tracker', 'log-viewer', 'metrics-collector']) {
    assert.ok(said.includes(`the web interface of ${service} is not built; \`make ui\` does it`), said);
    const [, constant] = code.split(`static ${service.replace('-', '_').toUpperCase()}:`);
    const [, page, below] = /page: include_str!\("(.+?)"\),\s+page_below: include_str!\("(.+?)"\),\s+assets: &\[\s+\]/.exec(constant);
    for (const path of [page, below]) assert.match(readFileSync(path, 'utf8'), /make ui[^]*make build/);
  }
  rmSync(folder, { recursive: true, force: true });
});
