// Colours of terminals (ECMA-48, SGR) as classes. Every other escape sequence is left out.

export interface Run {
  text: string;
  /** Such as `fg-1 bold`; empty for plain text. */
  classes: string;
}

// eslint-disable-next-line no-control-regex
const SEQUENCE = /\x1b(?:\[([0-9;:]*)([A-Za-z])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;
/** Runs of one entry: a line that changes colour more often is shown plain from there. */
const RUNS_MAX = 500;

/** The text as runs of one look each. */
export function runsOf(text: string): Run[] {
  if (!text.includes('\x1b')) return [{ text, classes: '' }];
  const runs: Run[] = [];
  const look: Look = { fg: '', bg: '', bold: false, faint: false, italic: false, underline: false };
  let at = 0;
  const add = (end: number) => {
    if (end > at) runs.push({ text: text.slice(at, end), classes: classesOf(look) });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    add(match.index);
    at = match.index + match[0].length;
    if (match[2] === 'm' && runs.length < RUNS_MAX) apply(look, (match[1] ?? '').split(/[;:]/).map(Number));
  }
  add(text.length);
  return runs;
}

interface Look {
  fg: string;
  bg: string;
  bold: boolean;
  faint: boolean;
  italic: boolean;
  underline: boolean;
}

function apply(look: Look, codes: number[]): void {
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0;
    if (code === 0) Object.assign(look, { fg: '', bg: '', bold: false, faint: false, italic: false, underline: false });
    else if (code === 1) look.bold = true;
    else if (code === 2) look.faint = true;
    else if (code === 3) look.italic = true;
    else if (code === 4) look.underline = true;
    else if (code === 22) look.bold = look.faint = false;
    else if (code === 23) look.italic = false;
    else if (code === 24) look.underline = false;
    else if (code >= 30 && code <= 37) look.fg = `fg-${code - 30}`;
    else if (code >= 90 && code <= 97) look.fg = `fg-${code - 82}`;
    else if (code >= 40 && code <= 47) look.bg = `bg-${code - 40}`;
    else if (code >= 100 && code <= 107) look.bg = `bg-${code - 92}`;
    else if (code === 39) look.fg = '';
    else if (code === 49) look.bg = '';
    else if (code === 38 || code === 48) {
      // 256 colours: the first 16 are ours, the others have no class. True colours have none either.
      const number = codes[at + 1] === 5 ? codes[at + 2] : undefined;
      const name = number !== undefined && number < 16 ? String(number) : '';
      if (code === 38) look.fg = name && `fg-${name}`;
      else look.bg = name && `bg-${name}`;
      at += codes[at + 1] === 5 ? 2 : 4;
    }
  }
}

function classesOf(look: Look): string {
  const { fg, bg, bold, faint, italic, underline } = look;
  return [fg, bg, bold && 'bold', faint && 'dim', italic && 'italic', underline && 'underline'].filter(Boolean).join(' ');
}
