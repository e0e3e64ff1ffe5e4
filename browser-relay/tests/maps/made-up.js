// Maps that no bundler makes, but that may be made: large distances, empty lines, gaps, sections, odd sources.

import { SourceMapGenerator } from "source-map";

import { random } from "./random.js";

/** Each as {name, code, map}; of the code, only the shape counts. */
export function makeUp() {
  const maps = Array.from({ length: 6 }, (_, number) => scattered(number));
  return [...maps, sections(), escaped()];
}

function scattered(number) {
  const generator = new SourceMapGenerator({ file: "x.js", sourceRoot: ["", "root", "/root/", "https://a.example/b"][number % 4] || undefined });
  const lines = [];
  for (let line = 1; line < 200; line += 1 + random(number < 3 ? 2 : 20)) {
    let column = random(50);
    for (let count = random(number < 3 ? 100 : 400); count > 0; count -= 1) {
      const generated = { line, column };
      if (random(10) === 0) generator.addMapping({ generated });
      else {
        const original = { line: 1 + random(2 ** random(30)), column: random(2 ** random(30)) };
        const name = random(3) === 0 ? `name${random(5000)}` : undefined;
        generator.addMapping({ generated, original, source: `./dir${random(40)}/../file${random(9)}.js`, name });
      }
      column += 1 + random(2 ** random(8));
    }
    lines[line - 1] = column;
  }
  const code = Array.from(lines, length => "x ".repeat((length ?? 0) / 2)).join("\n");
  return { name: `scattered-${number}`, code, map: generator.toString() };
}

/** An index map of several maps, some of them side by side on a line. */
function sections() {
  const parts = [0, 1, 2, 3, 4].map(scattered);
  const offsets = [[0, 7], [0, 40_000], [300, 0], [300, 90_000], [700, 12]];
  const sections = offsets.map(([line, column], number) => ({ offset: { line, column }, map: JSON.parse(parts[number].map) }));
  const code = Array.from({ length: 950 }, (_, line) => "x ".repeat(line % 300 === 0 ? 60_000 : 2000)).join("\n");
  return { name: "sections", code, map: JSON.stringify({ version: 3, sections }) };
}

/** Escapes wherever JSON allows for them. */
function escaped() {
  const { code, map } = scattered(1);
  const everything = text => [...text].map(c => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const { sources, names, mappings } = JSON.parse(map);
  const list = texts => `[ ${texts.map(text => `"${everything(text)}"`).join(" ,\n")} ]`;
  const text = `)]}'\n{ "version" : 3 , "mappings":"${everything(mappings)}", "names":${list(names)}, "sources":${list(sources)} }`;
  return { name: "escaped", code, map: text };
}
