// One error: where it happened, how often, with what.
import { useEffect, useState } from 'preact/hooks';
import { get, send, troubleFrom } from '../shared/api';
import { useAnswer } from '../shared/answer';
import { copy } from '../shared/copy';
import { Link } from '../shared/shell';
import { Time } from '../shared/time';
import { toast } from '../shared/toast';
import { TroubleLine } from '../shared/trouble';
import { useQuery } from '../shared/url';
import type { Detail, Occurrence } from './model';
import { Sparkline } from './sparkline';
import { type Frame, parseTraceback } from './traceback';

/** What is drawn of a text at once; a page with megabytes in it would not scroll. */
const SHOWN_MAX = 100_000;

export function ErrorPage({ id }: { id: string }) {
  const { value: error, trouble, retryAt, isLoading, reload } = useAnswer(
    (signal) => get<Detail>(`api/errors/${id}`, {}, signal),
    [id],
  );
  useEffect(() => {
    if (!error) return undefined;
    const before = document.title;
    document.title = `${error.exception_type} · Monlight`;
    return () => {
      document.title = before;
    };
  }, [error]);
  return (
    <>
      <p>
        <Link to="./">All errors</Link>
      </p>
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
        <p class="message whole">
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
        <Trace traceback={occurrence?.traceback ?? error.traceback} />
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

function Trace({ traceback }: { traceback: string }) {
  const [isRaw, setRaw] = useState(false);
  const parts = parseTraceback(traceback);
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
                <FrameLine key={number} frame={frame} />
              ))}
            </ol>
          ),
        )
      )}
    </>
  );
}

function FrameLine({ frame }: { frame: Frame }) {
  return (
    <li class={frame.isForeign ? 'foreign' : undefined}>
      <p>
        <bdi class="name">{frame.name || '(anonymous)'}</bdi>
        <bdi class="place">
          {frame.file}:{frame.line}
          {frame.column !== undefined && `:${frame.column}`}
        </bdi>
      </p>
      {frame.source && (
        <code>
          <bdi>{frame.source}</bdi>
        </code>
      )}
    </li>
  );
}

interface SourceExcerpt {
  source: string;
  line: number;
  first_line?: number;
  lines?: string[];
}

function OccurrenceFacts({ one }: { one: Occurrence }) {
  const extra = isObject(one.extra) ? one.extra : undefined;
  const sources = Array.isArray(extra?.['sources']) ? (extra['sources'] as SourceExcerpt[]) : [];
  const rest = extra ? Object.fromEntries(Object.entries(extra).filter(([name]) => name !== 'sources')) : one.extra;
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
      {sources.map((excerpt, at) => (
        <Excerpt key={at} excerpt={excerpt} />
      ))}
      <Json name="Headers" value={one.request_headers} />
      <Json name="Extra" value={rest} />
    </>
  );
}

function Excerpt({ excerpt }: { excerpt: SourceExcerpt }) {
  const lines = Array.isArray(excerpt.lines) ? excerpt.lines : [];
  const first = excerpt.first_line ?? excerpt.line;
  if (lines.length === 0) return null;
  return (
    <figure>
      <figcaption class="mono">
        <bdi>{String(excerpt.source)}</bdi>
      </figcaption>
      <ol class="source" start={first} tabIndex={0}>
        {lines.map((text, at) => (
          <li key={at} value={first + at} class={first + at === excerpt.line ? 'here' : undefined}>
            <bdi>{String(text)}</bdi>
          </li>
        ))}
      </ol>
    </figure>
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
