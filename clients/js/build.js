// Builds dist/: the module, the script, and the types.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
const OUTPUTS = [
  { entry: 'src/core.ts', format: 'esm', file: 'monlight.esm.js' },
  { entry: 'src/script.ts', format: 'iife', file: 'monlight.min.js' },
];

/** The text of a bundle and of its source map. esbuild resolves and bundles; terser makes it a twentieth smaller. */
export async function bundle({ entry, format, file }, options = {}) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    target: 'es2020',
    format,
    sourcemap: 'external',
    outfile: join('dist', file),
    minifySyntax: true,
    logLevel: 'warning',
    ...options,
  });
  const [map, code] = outputFiles.map(({ text }) => text);
  const { code: text, map: itsMap } = await minify(code, {
    ecma: 2020,
    module: format === 'esm',
    compress: { passes: 3, pure_getters: true, keep_fargs: false, unsafe_arrows: true },
    // The script says nothing of its map: a page would pay for it.
    sourceMap: { content: map, ...(format === 'esm' && { url: `${file}.map` }) },
  });
  return { text, map: itsMap };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync('dist', { recursive: true, force: true });
  execFileSync('node_modules/.bin/tsc', ['--emitDeclarationOnly'], { stdio: 'inherit' });
  for (const output of OUTPUTS) {
    const { text, map } = await bundle(output);
    writeFileSync(join('dist', output.file), text);
    writeFileSync(join('dist', `${output.file}.map`), map);
  }
}
