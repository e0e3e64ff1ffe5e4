// Makes real scripts with source maps, with real tools over real packages.

import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import esbuild from "esbuild";
import { rollup } from "rollup";
import { minify } from "terser";
import typescript from "typescript";
import webpack from "webpack";

const here = dirname(fileURLToPath(import.meta.url));
const entry = join(here, "entry.js");
const packages = join(here, "node_modules");
const read = path => readFileSync(join(packages, path), "utf8");

/** Every script of the test, as {name, code, map}. */
export async function build(folder) {
  return [
    await byEsbuild("esbuild", { minify: true }),
    await byEsbuild("esbuild-bare", { sourcesContent: false, sourceRoot: "https://src.example/root/" }),
    await byTerser(),
    await byRollup(),
    byTypescript(),
    await byWebpack(folder),
  ];
}

async function byEsbuild(name, options) {
  const settings = { entryPoints: [entry], bundle: true, format: "esm", sourcemap: "external", outfile: "out.js" };
  const { outputFiles } = await esbuild.build({ ...settings, write: false, ...options });
  const text = end => outputFiles.find(file => file.path.endsWith(end)).text;
  return { name, code: text(".js"), map: text(".map") };
}

async function byTerser() {
  const sources = { "../src/./preact.js": read("preact/dist/preact.mjs"), "hooks.js": read("preact/hooks/dist/hooks.mjs") };
  const sourceMap = { includeSources: true, root: "/root" };
  const { code, map } = await minify(sources, { sourceMap, module: true });
  return { name: "terser", code, map };
}

/** Rollup's bundle, made smaller by terser, which reads Rollup's map. */
async function byRollup() {
   const find = (id, from) =>
    /^[\w@]/.test(id) ? fileURLToPath(import.meta.resolve(id)) : resolve(dirname(from ?? entry), id);
  const bundle = await rollup({ input: entry, plugins: [{ name: "find", resolveId: find }], onwarn: () => {} });
  const { output } = await bundle.generate({ format: "es", sourcemap: true, file: join(here, "out.js") });
  const { code, map } = await minify(output[0].code, { module: true, sourceMap: { content: output[0].map.toString() } });
  return { name: "rollup-terser", code, map };
}

function byTypescript() {
  const compilerOptions = { sourceMap: true, sourceRoot: "../src", target: "es2020", module: "esnext", inlineSources: true };
  const text = read("zod/src/v4/core/schemas.ts");
  const { outputText, sourceMapText } = typescript.transpileModule(text, { compilerOptions, fileName: "schemas.ts" });
  return { name: "typescript", code: outputText, map: sourceMapText };
}

function byWebpack(folder) {
  const output = { path: folder, filename: "webpack.js" };
  const settings = { mode: "production", entry, devtool: "source-map", context: here, output, performance: false };
  return new Promise((resolve, reject) =>
    webpack(settings, (error, stats) => {
      if (error || stats.hasErrors()) return reject(error ?? new Error(stats.toString()));
      const [code, map] = ["webpack.js", "webpack.js.map"].map(name => readFileSync(join(folder, name), "utf8"));
      resolve({ name: "webpack", code, map });
    }),
  );
}
