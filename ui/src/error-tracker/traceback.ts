// Reads tracebacks as Python, browsers, Node and Java print them, for people. What is not understood stays as it is.

export interface Frame {
  file: string;
  line: number;
  column: number | undefined;
  name: string;
  /** The line of source, where the traceback has it. */
  source: string | undefined;
  /** Written by somebody else: a package, the runtime. */
  isForeign: boolean;
}

export type Part = { kind: 'text'; text: string } | { kind: 'frames'; frames: Frame[] };

/** More lines than anybody reads; the rest stays one text. */
const LINES_MAX = 2_000;

const PYTHON = /^\s*File "(.+?)", line (\d+)(?:, in (.+))?$/;
const CHROME = /^\s*at (?:(.+?) \()?((?:[a-z]+:\/\/|\/|[\w.@<-]).*?):(\d+)(?::(\d+))?\)?$/i;
const JAVA = /^\s*at ([\w$.<>]+)\(([\w$]+\.(?:java|kt|scala)):(\d+)\)$/;
const FIREFOX = /^([^@\s]*)@(.+?):(\d+)(?::(\d+))?$/;
const FOREIGN = /(?:^|[/\\])(?:site-packages|dist-packages|node_modules|lib\/python[\d.]+|internal)[/\\]|^node:|^<frozen|^<anonymous>/;

/** A traceback as stretches of frames and the text between them. */
export function parseTraceback(traceback: string): Part[] {
  const lines = traceback.split('\n');
  const parts: Part[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const frame = at < LINES_MAX ? frameOf(line) : undefined;
    if (!frame) {
      addText(parts, at < LINES_MAX ? line : lines.slice(at).join('\n'));
      if (at >= LINES_MAX) break;
      continue;
    }
    const next = lines[at + 1];
    if (PYTHON.test(line) && next?.startsWith('    ') && !frameOf(next)) {
      frame.source = next.trim();
      at += 1;
      // Python 3.11 and later mark the place in it.
      if (/^\s+[~^]+\s*$/.test(lines[at + 1] ?? '')) at += 1;
    }
    const last = parts.at(-1);
    if (last?.kind === 'frames') last.frames.push(frame);
    else parts.push({ kind: 'frames', frames: [frame] });
  }
  return parts.filter((part) => part.kind === 'frames' || part.text.trim() !== '');
}

function addText(parts: Part[], text: string): void {
  const last = parts.at(-1);
  if (last?.kind === 'text') last.text += `\n${text}`;
  else parts.push({ kind: 'text', text });
}

function frameOf(line: string): Frame | undefined {
  // A line of a megabyte is no frame, and patterns need not look for one in it.
  if (line.length > 2_000) return undefined;
  const python = PYTHON.exec(line);
  if (python) return frame(python[1], python[2], undefined, python[3]);
  const java = JAVA.exec(line);
  if (java) return frame(java[2], java[3], undefined, java[1]);
  const chrome = CHROME.exec(line);
  if (chrome) return frame(chrome[2], chrome[3], chrome[4], chrome[1]);
  const firefox = FIREFOX.exec(line);
  if (firefox) return frame(firefox[2], firefox[3], firefox[4], firefox[1]);
  return undefined;
}

function frame(file = '', line = '0', column: string | undefined, name = ''): Frame {
  return {
    file,
    line: Number(line),
    column: column === undefined ? undefined : Number(column),
    name,
    source: undefined,
    isForeign: FOREIGN.test(file),
  };
}
