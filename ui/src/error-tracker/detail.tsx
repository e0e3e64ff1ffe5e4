// One error: where it happened, how often, with what.
import { useMemo, useState } from 'preact/hooks';
import { get, send, troubleFrom } from '../shared/api';
import { useAnswer } from '../shared/answer';
import { copy } from '../shared/copy';
import { Link } from '../shared/shell';
import { Time } from '../shared/time';
import { useTitle } from '../shared/title';
import { toast } from '../shared/toast';
import { TroubleLine } from '../shared/trouble';
import { useQuery } from '../shared/url';
import type { Detail, Occurrence } from './model';
import { listAddress } from './list';
import { Sparkline } from './sparkline';
import { type Frame, parseTraceback } from './traceback';

/** What is drawn of a text at once; a page with megabytes in it would not scroll. */
const SHOWN_MAX = 100_000;

export function ErrorPage({ id }: { id: string }) {
  const { value: error, trouble, retryAt, isLoading, reload } = useAnswer(
    (signal) => get<Detail>(`api/errors/${id}`, {}, signal),
    [id],
  );
  useTitle(error?.exception_type);
  return (
    <>
      <nav class="back" aria-label="Back">
        <Link to={listAddress()}>← All errors</Link>
      </nav>
      {trouble?.kind === 'refused' && trouble.status === 404 ? (
        <div class="card empty">
          <h1>There is no error {id}</h1>
          <p>Resolved errors are deleted after a while; or the link is wrong.</p>
        </div>
      ) : (
        <TroubleLine trouble={trouble} retryAt={retryAt} onRetry={reload} />
      )}
      {error && <Body error={error} onChange={reload} />}
      {!error && isLoading && <p class="faint">Loading…</p>}
    </>
  );
}

function Body({ error, onChange }: { error: Detail; onChange: () => void }) {
  const [query, change] = useQuery();
  const number = Math.min(Math.max(0, Number(query.get('occurrence')) || 0), Math.max(0, error.occurrences.length - 1));
  const occurrence = error.occurrences[number];
  const act = async (action: 'resolve' | 'reopen', words: string) => {
    try {
      await send(`api/errors/${error.id}/${action}`, {});
      toast(words);
      onChange();
    } catch (problem) {
      toast(troubleFrom(problem).message, true);
    }
  };
  return (
    <article class="detail">
      <header>
        <h1>
          <bdi>{error.exception_type}</bdi>
        </h1>
        <p class="message whole" tabIndex={0}>
          <bdi>{cut(error.message)}</bdi>
        </p>
        <p class="labels">
          <span class={error.resolved ? 'badge good' : 'badge bad'}>{error.resolved ? 'resolved' : 'open'}</span>
          <span class="badge">
            <bdi>{error.project}</bdi>
          </span>
          {error.environments.map((name) => (
            <span class="badge" key={name}>
              <bdi>{name}</bdi>
            </span>
          ))}
          {error.source === 'browser' && <span class="badge">browser</span>}
        </p>
        <div class="bar">
          {error.resolved ? (
            <button class="primary" onClick={() => void act('reopen', 'The error is open again.')}>
              Reopen
            </button>
          ) : (
            <button class="primary" onClick={() => void act('resolve', 'The error is resolved. It reopens when it comes back.')}>
              Resolve
            </button>
          )}
          <button onClick={() => void copy(asText(error, occurrence))}>Copy as text</button>
        </div>
      </header>
      <dl class="facts">
        <Fact name="Seen">{timesSeen(error)}</Fact>
        <Fact name="Last seen">
          <Time value={error.last_seen} />
        </Fact>
        <Fact name="First seen">
          <Time value={error.first_seen} />
        </Fact>
        {error.resolved_at && (
          <Fact name="Resolved">
            <Time value={error.resolved_at} />
          </Fact>
        )}
        <Fact name="Last 24 hours">
          <Sparkline counts={error.activity} />
        </Fact>
        <Fact name="Fingerprint">
          <span class="mono">{error.fingerprint}</span>
        </Fact>
      </dl>
      <section aria-labelledby="trace">
        <Trace traceback={occurrence?.traceback ?? error.traceback} excerpts={excerptsOf(occurrence)} />
      </section>
      <section aria-labelledby="occurrences">
        <div class="bar">
          <h2 id="occurrences">{error.occurrences.length < error.count ? 'Newest occurrences' : 'Occurrences'}</h2>
          <div class="choice" role="group" aria-label="Occurrence">
            {error.occurrences.map((one, at) => (
              <button
                key={one.id}
                aria-pressed={at === number}
                onClick={() => change({ occurrence: at ? String(at) : undefined }, true)}
              >
                {at + 1} · <Time value={one.timestamp} />
              </button>
            ))}
          </div>
        </div>
        {occurrence ? <OccurrenceFacts one={occurrence} /> : <p class="faint">None is kept.</p>}
      </section>
    </article>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Trace({ traceback, excerpts }: { traceback: string; excerpts: readonly Excerpt[] }) {
  const [isRaw, setRaw] = useState(false);
  const parts = useMemo(() => parseTraceback(traceback), [traceback]);
  const excerptOf = (frame: Frame) => excerpts.find(({ source, line }) => source === frame.file && line === frame.line);
  const shown = new Set(parts.flatMap((part) => (part.kind === 'frames' ? part.frames.map(excerptOf) : [])));
  const others = isRaw ? excerpts : excerpts.filter((excerpt) => !shown.has(excerpt));
  const hasFrames = parts.some((part) => part.kind === 'frames');
  return (
    <>
      <div class="bar">
        <h2 id="trace">Stack trace</h2>
        {hasFrames && (
          <button aria-pressed={isRaw} onClick={() => setRaw(!isRaw)}>
            Raw
          </button>
        )}
      </div>
      {isRaw || !hasFrames ? (
        <pre tabIndex={0}>
          <bdi>{cut(traceback)}</bdi>
        </pre>
      ) : (
        parts.map((part, at) =>
          part.kind === 'text' ? (
            <p key={at} class="between">
              <bdi>{cut(part.text.trim())}</bdi>
            </p>
          ) : (
            <ol key={at} class="frames">
              {part.frames.map((frame, number) => (
                <FrameLine key={number} frame={frame} excerpt={excerptOf(frame)} />
              ))}
            </ol>
          ),
        )
      )}
      {others.map((excerpt, at) => (
        <figure key={at}>
          <figcaption class="mono">
            <bdi>{excerpt.source}</bdi>
          </figcaption>
          <SourceLines excerpt={excerpt} />
        </figure>
      ))}
    </>
  );
}

function FrameLine({ frame, excerpt }: { frame: Frame; excerpt: Excerpt | undefined }) {
  return (
    <li class={frame.isForeign ? 'foreign' : undefined}>
      <p>
        <bdi class="name">{frame.name || '(anonymous)'}</bdi>
        <bdi class="place">
          {frame.file}:{frame.line}
          {frame.column !== undefined && `:${frame.column}`}
        </bdi>
      </p>
      {frame.source && !excerpt && (
        <code>
          <bdi>{frame.source}</bdi>
        </code>
      )}
      {excerpt && <SourceLines excerpt={excerpt} />}
    </li>
  );
}

/** Lines of a source around the place of a frame, as browser-relay finds them with a source map. */
interface Excerpt {
  source: string;
  line: number;
  first: number;
  lines: string[];
}

/** What came along in `extra`, which anybody can send: only what has the form is taken. */
function excerptsOf(one: Occurrence | undefined): Excerpt[] {
  const sources = isObject(one?.extra) ? one.extra['sources'] : undefined;
  if (!Array.isArray(sources)) return [];
  return sources.filter(isObject).flatMap(({ source, line, first_line: first, lines }) => {
    if (!Array.isArray(lines) || lines.length === 0) return [];
    const number = Number(line) || 0;
    return [{ source: String(source), line: number, first: Number(first) || number, lines: lines.map(String) }];
  });
}

function OccurrenceFacts({ one }: { one: Occurrence }) {
  const extra = isObject(one.extra) ? one.extra : undefined;
  const hasExcerpts = excerptsOf(one).length > 0;
  const rest = extra && hasExcerpts ? Object.fromEntries(Object.entries(extra).filter(([name]) => name !== 'sources')) : one.extra;
  const session = extra?.['session_id'];
  return (
    <>
      <dl class="facts">
        <Fact name="Time">
          <Time value={one.timestamp} isFull />
        </Fact>
        <Fact name="Environment">
          <bdi>{one.environment}</bdi>
        </Fact>
        {one.request_url && (
          <Fact name="Request">
            <bdi class="mono">
              {one.request_method} {one.request_url}
            </bdi>
          </Fact>
        )}
        {one.user_id && (
          <Fact name="User">
            <bdi>{one.user_id}</bdi>
          </Fact>
        )}
        {typeof session === 'string' && session && (
          <Fact name="Session">
            <Link to={`./?resolved=all&session_id=${encodeURIComponent(session)}`}>
              <bdi class="mono">{session}</bdi>
            </Link>
          </Fact>
        )}
      </dl>
      <Json name="Headers" value={one.request_headers} />
      <Json name="Extra" value={rest} />
    </>
  );
}

function SourceLines({ excerpt: { line, first, lines } }: { excerpt: Excerpt }) {
  return (
    <ol class="source" tabIndex={0} aria-label="Source">
      {lines.map((text, at) => (
        <li key={at} value={first + at} class={first + at === line ? 'here' : undefined}>
          <bdi>{cut(text)}</bdi>
        </li>
      ))}
    </ol>
  );
}

function Json({ name, value }: { name: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  if (isObject(value) && Object.keys(value).length === 0) return null;
  return (
    <details open>
      <summary>{name}</summary>
      <pre tabIndex={0}>
        <bdi>{cut(JSON.stringify(value, null, 2))}</bdi>
      </pre>
    </details>
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function cut(text: string): string {
  if (text.length <= SHOWN_MAX) return text;
  return `${text.slice(0, SHOWN_MAX)}\n… ${(text.length - SHOWN_MAX).toLocaleString()} more characters; "Copy as text" has them`;
}

/** For a ticket or a chat. */
function asText(error: Detail, one: Occurrence | undefined): string {
  const lines = [
    `${error.exception_type}: ${error.message}`,
    `project ${error.project}, ${error.environments.join(', ')}; seen ${timesSeen(error)}, ${error.first_seen} to ${error.last_seen}`,
  ];
  if (one?.request_url) lines.push(`${one.request_method ?? ''} ${one.request_url}`.trim());
  lines.push(new URL(`errors/${error.id}`, document.baseURI).href, '', one?.traceback ?? error.traceback);
  return lines.join('\n');
}

function timesSeen({ count }: Detail): string {
  return count === 1 ? 'once' : `${count.toLocaleString()} times`;
}
