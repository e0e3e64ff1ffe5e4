// JSON in lines. The text is kept as it is but for the space in it: parsed and written anew, long numbers would be others.

/** Characters; more takes too long. */
const LENGTH_MAX = 1_000_000;
/** Deeper ones are no help to the eye, and mostly spaces. */
const DEPTH_MAX = 100;

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** An object or a list in lines; nothing for what is none. */
export function prettyJson(text: string): string | undefined {
  const trimmed = text.trim();
  if (!/^[[{]/.test(trimmed) || trimmed.length > LENGTH_MAX) return undefined;
  try {
    JSON.parse(trimmed);
  } catch {
    // It only looked like it.
    return undefined;
  }
  const parts: string[] = [];
  let depth = 0;
  let before = '';
  for (const [token] of trimmed.matchAll(TOKENS)) {
    const isEnd = token === '}' || token === ']';
    if (isEnd) depth -= 1;
    const isEmpty = isEnd && (before === '{' || before === '[');
    if (!isEmpty && (isEnd || before === '{' || before === '[' || before === ',')) parts.push(`\n${'  '.repeat(depth)}`);
    parts.push(token === ':' ? ': ' : token);
    if (token === '{' || token === '[') depth += 1;
    if (depth > DEPTH_MAX) return undefined;
    before = token;
  }
  return parts.join('');
}
