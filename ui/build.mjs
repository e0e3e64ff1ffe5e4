// Builds the interfaces into dist/SERVICE: two pages, and assets whose names hold their hash, compressed.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const source = join(root, 'src');

/** Each service with the name people read. */
const services = {
  'error-tracker': 'Errors',
  'log-viewer': 'Logs',
  'metrics-collector': 'Metrics',
};

/** Bundles one entry; its files by kind: `js`, `css`. */
async function bundle(entry, format) {
  const result = await build({
    entryPoints: [join(source, entry)],
    bundle: true,
    minify: true,
    format,
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    entryNames: `${basename(entry).replace(/\.tsx?$/, '')}-[hash]`,
    outdir: join(root, 'dist'),
    legalComments: 'none',
    charset: 'utf8',
    write: false,
    logLevel: 'warning',
  });
  return result.outputFiles.map((file) => ({ name: basename(file.path), bytes: Buffer.from(file.contents) }));
}

/** A file of the source as it is. */
function plain(path) {
  const bytes = readFileSync(join(source, path));
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8).toUpperCase();
  return { name: basename(path).replace('.', `-${hash}.`), bytes };
}

/** The page, with links relative to `base`. */
function page(template, title, base, assets) {
  const named = (prefix, end) => assets.find(({ name }) => name.startsWith(prefix) && name.endsWith(end)).name;
  const parts = {
    title,
    base,
    icon: named('icon-', '.svg'),
    early: named('early-', '.js'),
    style: named('main-', '.css'),
    script: named('main-', '.js'),
  };
  return template.replace(/\{\{(\w+)\}\}/g, (_, part) => parts[part]);
}

async function interfaceOf(service, title) {
  const folder = join(root, 'dist', service);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'assets'), { recursive: true });
  const assets = [
    ...(await bundle(`${service}/early.ts`, 'iife')),
    ...(await bundle(`${service}/main.tsx`, 'esm')),
    plain(`${service}/icon.svg`),
  ];
  let size = 0;
  for (const { name, bytes } of assets) {
    const compressed = gzipSync(bytes, { level: 9 });
    size += compressed.length;
    writeFileSync(join(folder, 'assets', `${name}.gz`), compressed);
  }
  const template = readFileSync(join(source, 'page.html'), 'utf8');
  writeFileSync(join(folder, 'page.html'), page(template, title, './', assets));
  writeFileSync(join(folder, 'page-below.html'), page(template, title, '../', assets));
  console.log(`${service}: ${(size / 1024).toFixed(1)} KB compressed`);
}

for (const [service, title] of Object.entries(services)) {
  await interfaceOf(service, title);
}
