// Usage: node oracle.js FOLDER
// Writes source maps into FOLDER, and beside each what the `source-map` package says about places in its script.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { SourceMapConsumer } from "source-map";

import { build } from "./build.js";
import { makeUp } from "./made-up.js";
import { random } from "./random.js";

/** Places asked about in each script, and of these the ones whose source is compared too. */
const PLACES = 2000;
const TEXTS = 40;

const folder = process.argv[2];
for (const { name, code, map } of [...(await build(folder)), ...makeUp()]) {
  const text = typeof map === "string" ? map : JSON.stringify(map);
  const answers = await ask(text, places(code));
  writeFileSync(join(folder, `${name}.map`), text);
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(answers));
}

/** Line and column, both from 1: some anywhere, some where a word begins. */
function places(code) {
  const lines = code.split("\n");
  const starts = [];
  let total = 0;
  for (const line of lines) {
    starts.push(total);
    total += line.length + 1;
  }
  const place = at => {
    let [low, high] = [0, lines.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= at) low = middle;
      else high = middle;
    }
    return [low + 1, at - starts[low] + 1];
  };
  const words = [...code.matchAll(/\b\w/g)].map(match => match.index);
  const anywhere = Array.from({ length: PLACES / 2 }, () => random(total));
  const atWords = Array.from({ length: PLACES / 2 }, () => words[random(words.length)] ?? 0);
  return [0, total, ...anywhere, ...atWords].map(place);
}

function ask(map, places) {
  return SourceMapConsumer.with(map, null, consumer =>
    places.map(([line, column], number) => {
      const found = consumer.originalPositionFor({ line, column: column - 1 });
      if (found.source === null) return { line, column, original: null };
      const { source, name } = found;
      const text = number < TEXTS ? (consumer.sourceContentFor(source, true)?.split("\n")[found.line - 1] ?? null) : null;
      return { line, column, original: { source, line: found.line, column: found.column + 1, name, text } };
    }),
  );
}
