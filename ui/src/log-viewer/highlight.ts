// Where a search hits in a message.

export interface Piece {
  text: string;
  isHit: boolean;
}

/** Words of an expression that are marked. */
const WORDS_MAX = 20;
const HITS_MAX = 200;

/** A pattern for what a search and a part of text find; none when nothing is looked for. */
export function hitPattern(search: string, contains: string): RegExp | undefined {
  const words = [...search.matchAll(/"([^"]*)"|([^\s()":^]+)/g)]
    .map((match) => match[1] ?? match[2] ?? '')
    .filter((word) => word && !/^(AND|OR|NOT|NEAR|,\d*|[+*]+)$/.test(word));
  const found = words.slice(0, WORDS_MAX).map((word) => {
    const isPrefix = word.endsWith('*');
    const parts = word.split(/[^\p{L}\p{N}]+/u).filter(Boolean).map(escaped);
    if (parts.length === 0) return escaped(word);
    // As the index has it: whole words, whatever stands between them.
    const inside = parts.join('[^\\p{L}\\p{N}]+');
    return `(?<![\\p{L}\\p{N}])${inside}${isPrefix ? '[\\p{L}\\p{N}]*' : '(?![\\p{L}\\p{N}])'}`;
  });
  if (contains) found.push(escaped(contains));
  return found.length > 0 ? new RegExp(found.join('|'), 'giu') : undefined;
}

/** A text as pieces that are hits and others. */
export function pieces(text: string, pattern: RegExp | undefined): Piece[] {
  if (!pattern) return [{ text, isHit: false }];
  const result: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match[0] === '' || result.length > HITS_MAX) break;
    if (match.index > at) result.push({ text: text.slice(at, match.index), isHit: false });
    result.push({ text: match[0], isHit: true });
    at = match.index + match[0].length;
  }
  if (at < text.length) result.push({ text: text.slice(at), isHit: false });
  return result;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
