// One entry: a line, and opened, all that it says.
import { useMemo, useState } from 'preact/hooks';
import { get, troubleFrom } from '../shared/api';
import { copy } from '../shared/copy';
import { Link } from '../shared/shell';
import { parseTime } from '../shared/time';
import { toast } from '../shared/toast';
import { runsOf } from './ansi';
import { pieces } from './highlight';
import type { Entry } from './model';
import { prettyJson } from './pretty-json';

/** Drawn of a message in a closed row. */
const LINE_MAX = 1_000;
/** Drawn of an opened one. */
const SHOWN_MAX = 100_000;

/** On a phone the message needs the room. */
const isNarrow = matchMedia('(max-width: 40rem)').matches;
const two = (number: number) => String(number).padStart(2, '0');

/** Month, day and time in the viewer's zone. By hand: the first of Intl's formats takes longer to make than all rows to draw. */
function clock(time: Date): string {
  const day = `${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const seconds = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return isNarrow ? `${day} ${seconds}` : `${day} ${seconds}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

export function Line(props: {
  entry: Entry;
  isOpen: boolean;
  isWrapped: boolean;
  isMarked: boolean;
  pattern: RegExp | undefined;
  onToggle: () => void;
}) {
  const { entry, isOpen, isWrapped, pattern } = props;
  const time = parseTime(entry.timestamp);
  const end = entry.message.indexOf('\n');
  const firstLine = isWrapped || end < 0 ? entry.message : entry.message.slice(0, end);
  const more = isWrapped || end < 0 ? 0 : entry.message.split('\n').length - 1;
  return (
    <>
      <button
        class={`line ${entry.level.toLowerCase()}${isWrapped ? ' wrapped' : ''}${props.isMarked ? ' marked' : ''}`}
        tabIndex={-1}
        aria-expanded={isOpen}
        onClick={props.onToggle}
      >
        <time dateTime={entry.timestamp} title={`${entry.timestamp} UTC`}>
          {clock(time)}
        </time>
        <span class="level">{entry.level}</span>
        <bdi class="container">{entry.container}</bdi>
        <bdi class="message">
          <Text text={firstLine.slice(0, LINE_MAX)} pattern={pattern} />
          {firstLine.length > LINE_MAX && '…'}
        </bdi>
        {more > 0 && <span class="badge">+{more === 1 ? '1 line' : `${more} lines`}</span>}
      </button>
      {isOpen && <Opened entry={entry} pattern={pattern} />}
    </>
  );
}

function Opened({ entry, pattern }: { entry: Entry; pattern: RegExp | undefined }) {
  const [whole, setWhole] = useState<string | undefined>();
  const message = whole ?? entry.message;
  const json = useMemo(() => prettyJson(message), [message]);
  const [isPretty, setPretty] = useState(true);
  const text = json !== undefined && isPretty ? json : message;
  const loadWhole = async () => {
    try {
      setWhole((await get<Entry>(`api/logs/${entry.id}`)).message);
    } catch (error) {
      toast(troubleFrom(error).message, true);
    }
  };
  return (
    <div class="opened">
      <pre tabIndex={0}>
        <bdi>
          <Text text={text.slice(0, SHOWN_MAX)} pattern={pattern} />
          {text.length > SHOWN_MAX && `\n… ${(text.length - SHOWN_MAX).toLocaleString()} more characters`}
        </bdi>
      </pre>
      <div class="bar">
        <Link class="button" to={`./?around=${entry.id}`}>
          What happened around it
        </Link>
        <Link class="button" to={`./?container=${encodeURIComponent(entry.container)}`}>
          Only this container
        </Link>
        <button onClick={() => void copy(message)}>Copy</button>
        {json !== undefined && (
          <button aria-pressed={isPretty} onClick={() => setPretty(!isPretty)}>
            Formatted
          </button>
        )}
        {entry.cut !== undefined && whole === undefined && (
          <button onClick={() => void loadWhole()}>{entry.cut.toLocaleString()} more bytes</button>
        )}
        <span class="faint">
          {entry.stream}, entry {entry.id}
        </span>
      </div>
    </div>
  );
}

function Text({ text, pattern }: { text: string; pattern: RegExp | undefined }) {
  return (
    <>
      {runsOf(text).map((run, number) => {
        const inside = pieces(run.text, pattern).map((piece, at) =>
          piece.isHit ? <mark key={at}>{piece.text}</mark> : piece.text,
        );
        return run.classes ? (
          <span key={number} class={run.classes}>
            {inside}
          </span>
        ) : (
          inside
        );
      })}
    </>
  );
}
