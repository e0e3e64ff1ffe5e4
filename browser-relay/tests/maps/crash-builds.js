// The application that crashes, as three real tools minify it.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import esbuild from "esbuild";
import { rollup } from "rollup";
import { SourceMapConsumer } from "source-map";
import { minify } from "terser";
import webpack from "webpack";

const here = dirname(fileURLToPath(import.meta.url));
const entry = join(here, "crash.js");

/** Every build as {name, code, map}, the map as text. */
export async function builds() {
  const folder = mkdtempSync(join(tmpdir(), "monlight-crash-"));
  try {
    return [await byEsbuild(), await byRollup(), await byWebpack(folder)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function byEsbuild() {
  const settings = { entryPoints: [entry], bundle: true, format: "iife", minify: true, sourcemap: "external" };
  const { outputFiles } = await esbuild.build({ ...settings, write: false, outfile: "out.js" });
  const text = (end) => outputFiles.find((file) => file.path.endsWith(end)).text;
  return { name: "esbuild", code: text(".js"), map: text(".map") };
}

async function byRollup() {
  const find = (id, from) => (/^[\w@]/.test(id) ? fileURLToPath(import.meta.resolve(id)) : resolve(dirname(from ?? entry), id));
  const bundle = await rollup({ input: entry, plugins: [{ name: "find", resolveId: find }], onwarn: () => {} });
  const { output } = await bundle.generate({ format: "iife", sourcemap: true, file: join(here, "out.js") });
  const { code, map } = await minify(output[0].code, { sourceMap: { content: output[0].map.toString() } });
  return { name: "rollup", code, map: String(map) };
}

function byWebpack(folder) {
  const output = { path: folder, filename: "webpack.js" };
  const settings = { mode: "production", entry, devtool: "source-map", context: here, output, performance: false };
  return new Promise((done, fail) =>
    webpack(settings, (error, stats) => {
      if (error || stats.hasErrors()) return fail(error ?? new Error(stats.toString()));
      const [code, map] = ["webpack.js", "webpack.js.map"].map((name) => readFileSync(join(folder, name), "utf8"));
      done({ name: "webpack", code, map });
    }),
  );
}

/** A stack as it reads when the `source-map` package has found the place of every frame of this script. */
export function readable(stack, map, url) {
  return SourceMapConsumer.with(map, null, (consumer) =>
    stack
      .split("\n")
      .map((line) => {
        const inEval = /^(.*\(eval at )(.*?) \((\S+?):(\d+):(\d+)(\).*)$/.exec(line);
        if (inEval?.[3] === url) {
          const [, before, called, , number, column, after] = inEval;
          const found = consumer.originalPositionFor({ line: Number(number), column: Number(column) - 1 });
          const place = `${found.source}:${found.line}:${found.column + 1}`;
          return found.source === null ? line : `${before}${found.name ?? called} (${place}${after}`;
        }
        const frame = /^(\s*)at (?:(.*) \()?(\S+?):(\d+):(\d+)\)?$/.exec(line);
        if (!frame || frame[3] !== url) return line;
        const [, indent, called, , number, column] = frame;
        const found = consumer.originalPositionFor({ line: Number(number), column: Number(column) - 1 });
        if (found.source === null) return line;
        const place = `${found.source}:${found.line}:${found.column + 1}`;
        const name = found.name ?? called;
        return name ? `${indent}at ${name} (${place})` : `${indent}at ${place}`;
      })
      .join("\n"),
  );
}
