// What is published: everything that package.json promises, and nothing of the workshop.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const folder = fileURLToPath(new URL('../..', import.meta.url));
const read = (name) => readFileSync(folder + name, 'utf8');
const manifest = JSON.parse(read('package.json'));

test('the package has what its manifest names', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const names = files.map(({ path }) => path);
  const promised = [manifest.main, manifest.types, manifest.unpkg, './README.md', './CHANGELOG.md', './LICENSE'].map((path) => path.slice(2));
  expect(names).toEqual(expect.arrayContaining(promised));
  expect(names.filter((name) => !/^(dist\/|README\.md|CHANGELOG\.md|LICENSE|package\.json)/.test(name))).toEqual([]);
  expect(manifest.dependencies).toBeUndefined();
});

test('an application with the strictest way to resolve modules gets the types', () => {
  const place = mkdtempSync(join(tmpdir(), 'monlight-'));
  mkdirSync(join(place, 'node_modules/@monlight'), { recursive: true });
  symlinkSync(folder, join(place, 'node_modules/@monlight/browser'));
  writeFileSync(join(place, 'package.json'), '{"type":"module"}');
  writeFileSync(
    join(place, 'app.ts'),
    `import { init, type MonlightConfig } from '@monlight/browser';
const config: MonlightConfig = { dsn: 'k', endpoint: 'e' };
// @ts-expect-error: no number.
init({ ...config, release: 7 });
export const waiting: number = init(config).stats().waiting;`,
  );
  const args = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2020', '--lib', 'es2020,dom', '--preserveSymlinks', 'app.ts'];
  expect(spawnSync(join(folder, 'node_modules/.bin/tsc'), args, { cwd: place, encoding: 'utf8' }).stdout).toBe('');
  rmSync(place, { recursive: true });
});

test('the changelog knows this version', () => {
  expect(read('CHANGELOG.md')).toContain(`\n## ${manifest.version}\n`);
});

test('a bundle is under 5 KB, compressed', () => {
  for (const name of ['monlight.esm.js', 'monlight.min.js']) expect(gzipSync(read(`dist/${name}`), { level: 9 }).length).toBeLessThanOrEqual(5_120);
});
