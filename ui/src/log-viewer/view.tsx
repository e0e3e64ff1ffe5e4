// The entries that a filter asks for, and what arrives meanwhile.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Params, get, stream, troubleFrom } from '../shared/api';
import { retrySeconds, useAnswer } from '../shared/answer';
import { withChosen } from '../shared/choices';
import { Command } from '../shared/command';
import { RangePicker, type Stretch } from '../shared/range';
import { useRest } from '../shared/rest';
import { Link } from '../shared/shell';
import { parseTime } from '../shared/time';
import { toast } from '../shared/toast';
import { TroubleLine } from '../shared/trouble';
import { TypedField } from '../shared/typed';
import { useQuery } from '../shared/url';
import { hitPattern } from './highlight';
import { Line } from './line';
import { type Entry, type EntryPage, type Histogram, LEVELS, filterOf, listParams, timesOf } from './model';
import { type Side, endOf, neighbours, neighboursBeyond } from './neighbours';
import { Rows } from './rows';
import { type TailState, follow } from './tail';
import { type Jump, type ListHandle, VirtualList } from './virtual-list';
import { Volume } from './volume';

/** What is asked for at once when somebody scrolls on: as much as the service gives. */
const NEXT_PAGE = 500;
const RANGES = ['15m', '1h', '6h', '24h', '7d'] as const;
/** Kept while paused; of what arrives beyond that only the number is known, and the list is loaded anew. */
const PAUSED_MAX = 10_000;
/** How often arriving lines are drawn: a screen of them five times a second is as fast as anybody reads. */
const DRAW_MS = 200;
/** How soon more is asked for again when it was refused. */
const MORE_AGAIN_SECONDS = 5;
/** While there is nothing, the first line should show soon. */
const FIRST_LINE_SECONDS = 5;
/** New containers are rare. */
const CONTAINERS_SECONDS = 60;
/** How often the volume is counted anew while lines arrive. */
const VOLUME_SECONDS = 30;
/** What is seen above the line that somebody asked about. */
const ABOVE_MARKED_PX = 200;

export function LogView() {
  const [query, change] = useQuery();
  const value = (name: string) => query.get(name) ?? '';
  const around = value('around');
  const isLive = value('live') === '1' && !around;
  const isWrapped = value('wrap') === '1';
  const filter = filterOf(query);
  const [since, until] = [value('since'), value('until')];
  const isFiltered = Boolean(around || since || until || value('time')) || Object.values(filter).some(Boolean);
  const asked = JSON.stringify([filter, since, until, value('time'), around]);

  const rows = useRef(new Rows());
  const list = useRef<ListHandle>(undefined);
  const jump = useRef<Jump>(undefined);
  const [version, setVersion] = useState(0);
  const bump = useCallback(() => setVersion((version) => version + 1), []);
  // Where to go on beyond what is shown; none where nothing is.
  const ends = useRef<Record<Side, string | null>>({ newer: null, older: null });
  const isLoadingMore = useRef(false);

  const [isPaused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState(0);
  const paused = useRef({ isPaused, entries: [] as Entry[], count: 0 });
  paused.current.isPaused = isPaused;
  /** Keeps what arrives for later. */
  const hold = (entries: Entry[], count = entries.length) => {
    paused.current.entries = entries.slice(0, PAUSED_MAX);
    paused.current.count = count;
    setWaiting(count);
  };
  const isNew = ({ id }: Entry) => id > rows.current.newestId;
  const [isEmpty, setEmpty] = useState(false);

  const first = useAnswer(
    async (signal) => {
      if (around) {
        const logs = await neighbours(around, signal);
        return { asked, logs, total: logs.length, next: endOf(logs, 'older') };
      }
      return { asked, ...(await get<EntryPage>('api/logs', listParams(query), signal)) };
    },
    [asked],
    isEmpty && !isFiltered ? FIRST_LINE_SECONDS : 0,
  );
  const shownAsked = useRef('');
  // Before the frame that says how many there are is drawn.
  useLayoutEffect(() => {
    if (!first.value) return;
    const isSame = shownAsked.current === first.value.asked;
    shownAsked.current = first.value.asked;
    const before = rows.current.entries;
    rows.current.replace(first.value.logs);
    // What the live tail sent after this list was read.
    if (isSame && isLive) rows.current.prepend(before.filter(isNew));
    hold(isSame ? paused.current.entries.filter(isNew) : []);
    if (around) rows.current.open.add(Number(around));
    setEmpty(rows.current.entries.length === 0);
    ends.current = { newer: around ? endOf(first.value.logs, 'newer') : null, older: first.value.next };
    const at = rows.current.entries.findIndex(({ id }) => String(id) === around);
    jump.current = { to: at < 0 ? 0 : Math.max(0, rows.current.top(at) - ABOVE_MARKED_PX) };
    bump();
  }, [first.value]);

  const loadMore = useCallback(
    (side: Side) => {
      const end = ends.current[side];
      if (!end || isLoadingMore.current) return;
      isLoadingMore.current = true;
      const page = async () => {
        if (!around) return get<EntryPage>('api/logs', { ...listParams(query), limit: NEXT_PAGE, before: end });
        const logs = await neighboursBeyond(end, side);
        return { logs, next: endOf(logs, side) };
      };
      page()
        .then(({ logs, next }) => {
          if (asked !== newestAsked.current) return;
          if (side === 'newer') putOnTop(logs, false);
          else if (!rows.current.append(logs)) next = null;
          ends.current[side] = next;
          bump();
        })
        .catch(async (error: unknown) => {
          const trouble = troubleFrom(error);
          toast(trouble.message, true);
          // Scrolling on asks again, but not at each step.
          await new Promise((done) => setTimeout(done, (retrySeconds(trouble, 0) ?? MORE_AGAIN_SECONDS) * 1000));
        })
        .finally(() => {
          isLoadingMore.current = false;
        });
    },
    [asked],
  );
  const newestAsked = useRef(asked);
  newestAsked.current = asked;

  // Counting a million entries takes longer than finding the newest: those are drawn first.
  const isRest = useRest(first.value !== undefined);
  const histogram = useAnswer(
    async (signal) => (isRest && first.value ? get<Histogram>('api/logs/histogram', { container: filter.container, level: filter.level, ...timesOf(query) }, signal) : undefined),
    [filter.container, filter.level, since, until, value('time'), first.value, isRest],
    isLive && !isPaused ? VOLUME_SECONDS : 0,
  );
  const containers = useAnswer(
    (signal) => get<{ containers: { name: string; log_count: number }[] }>('api/containers', {}, signal),
    [isEmpty],
    CONTAINERS_SECONDS,
  );
  const reload = () => {
    first.reload();
    containers.reload();
  };

  const [tail, setTail] = useState<TailState | undefined>();
  const [tailTurn, setTailTurn] = useState(0);
  const retryTail = () => setTailTurn(tailTurn + 1);
  // Not on top of what another filter found.
  const isReady = first.value?.asked === asked;
  useEffect(() => {
    if (!isLive || !isReady) {
      setTail(undefined);
      return undefined;
    }
    const stop = new AbortController();
    let arrived: Entry[] = [];
    const timer = setInterval(() => {
      if (arrived.length === 0) return;
      const newest = arrived.reverse().filter(isNew);
      arrived = [];
      if (paused.current.isPaused) hold(newest.concat(paused.current.entries), paused.current.count + newest.length);
      else putOnTop(newest);
    }, DRAW_MS);
    const after = Math.max(rows.current.newestId, paused.current.entries[0]?.id ?? 0);
    void follow(filter, after || undefined, stop.signal, (entries) => arrived.push(...entries), setTail);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [isLive, isReady, asked, tailTurn]);
  /** Who looks at the top sees what arrives; everybody else keeps seeing the same. */
  const putOnTop = (newest: Entry[], mayMove = list.current?.isAtTop() ?? true) => {
    const by = rows.current.prepend(newest);
    if (!mayMove) jump.current = { by };
    bump();
  };
  const resume = () => {
    const { entries, count } = paused.current;
    setPaused(false);
    hold([]);
    if (count > entries.length) first.reload();
    else putOnTop(entries);
    list.current?.scrollToTop();
  };

  const toggle = (entry: Entry) => {
    rows.current.toggle(entry);
    bump();
  };
  const pattern = useMemo(() => hitPattern(filter.search, filter.contains), [filter.search, filter.contains]);
  const set = (name: string) => (event: Event) =>
    change({ [name]: (event.currentTarget as HTMLSelectElement).value, around: undefined });
  const total = first.value?.total ?? 0;

  return (
    <div class="logs">
      <h1 class="visually-hidden">Logs</h1>
      <form class="bar" role="search" onSubmit={(event) => event.preventDefault()}>
        <TypedField
          class="grow"
          label="Search words"
          placeholder={'time* AND (db OR cache)'}
          hint={<Syntax />}
          value={filter.search}
          onChange={(search) => change({ search, around: undefined }, true)}
        />
        <TypedField
          label="Contains"
          placeholder="any part"
          value={filter.contains}
          onChange={(contains) => change({ contains, around: undefined }, true)}
        />
        <label class="field">
          <span>Container</span>
          <select value={filter.container} onChange={set('container')}>
            <option value="">All</option>
            {withChosen((containers.value?.containers ?? []).map(({ name }) => name), filter.container).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Level</span>
          <select value={filter.level} onChange={set('level')}>
            <option value="">All</option>
            {LEVELS.slice(1).map((level) => (
              <option key={level} value={`>=${level}`}>{`${level} and graver`}</option>
            ))}
            {LEVELS.map((level) => (
              <option key={level} value={level}>{`Only ${level}`}</option>
            ))}
            {filter.level && !LEVELS.some((level) => [level, `>=${level}`].includes(filter.level)) && (
              <option value={filter.level}>{filter.level}</option>
            )}
          </select>
        </label>
        <RangePicker
          value={value('time')}
          choices={RANGES}
          all="Any time"
          onChange={(time) => change({ time, since: undefined, until: undefined, around: undefined })}
          stretch={stretchOf(since, until)}
          onStretch={({ from, to }) => change({ since: isoOf(from), until: isoOf(to), time: undefined, live: undefined, around: undefined })}
        />
        <button type="button" aria-pressed={isWrapped} onClick={() => { rows.current.relayout(); change({ wrap: isWrapped ? undefined : '1' }, true); }}>
          Wrap
        </button>
        <button type="button" onClick={reload} aria-busy={first.isLoading}>
          Refresh
        </button>
        <button type="button" aria-pressed={isLive} disabled={Boolean(around)} onClick={() => { setPaused(false); change({ live: isLive ? undefined : '1' }, true); }}>
          Live
        </button>
        {isLive && (isPaused ? <button type="button" class="primary" onClick={resume}>Resume{waiting > 0 && ` (${waiting.toLocaleString()} new)`}</button> : <button type="button" onClick={() => setPaused(true)}>Pause</button>)}
        <button type="button" onClick={() => void download({ ...filter, ...timesOf(query) })}>
          Export
        </button>
      </form>
      <TroubleLine trouble={first.trouble} retryAt={first.retryAt} onRetry={first.reload} />
      {tail?.kind === 'waiting' && (
        <TroubleLine trouble={tail.trouble} retryAt={tail.retryAt} onRetry={retryTail} />
      )}
      {tail?.kind === 'refused' && <TroubleLine trouble={tail.trouble} retryAt={undefined} onRetry={retryTail} />}
      {around ? (
        <p class="notice">
          What one container wrote before and after entry {around}, the newest first. <Link to="./">Back to all logs</Link>
        </p>
      ) : (
        first.value && (total > 0 || isFiltered) && histogram.value?.buckets.length !== 0 && (
          <Volume
            histogram={histogram.value}
            isSearched={Boolean(filter.search || filter.contains)}
            onZoom={(since, until) => change({ since, until, time: undefined, live: undefined })}
          />
        )
      )}
      {first.value && !around && (
        <p class="faint" role="status">
          {first.value.total_is_exact === false && 'At least '}
          {total === 1 ? '1 entry' : `${total.toLocaleString()} entries`}
          {first.value.search_mode === 'literal' && ', searched for as literal text'}
          {tail?.kind === 'live' && (isPaused ? '; paused' : '; live')}
          {tail?.kind === 'connecting' && '; connecting'}
        </p>
      )}
      {rows.current.entries.length > 0 ? (
        <VirtualList
          rows={rows.current}
          version={version}
          handle={list}
          jump={jump}
          label="Log entries, the newest first"
          onNearEnd={loadMore}
          onToggle={toggle}
          render={(entry) => (
            <Line
              entry={entry}
              isOpen={rows.current.open.has(entry.id)}
              isWrapped={isWrapped}
              isMarked={String(entry.id) === around}
              pattern={pattern}
              onToggle={() => toggle(entry)}
            />
          )}
        />
      ) : first.value ? (
        isFiltered ? <NothingFound /> : <NothingYet />
      ) : (
        first.isLoading && <p class="faint">Loading…</p>
      )}
    </div>
  );
}

function Syntax() {
  return (
    <>
      Words are looked up whole: <code>time*</code> finds <em>timeout</em>, <code>"connection refused"</code> a phrase;{' '}
      <code>AND</code>, <code>OR</code>, <code>NOT</code> combine them. “Contains” finds any part of a line.
    </>
  );
}

function NothingFound() {
  return (
    <div class="card empty">
      <h2>Nothing matches</h2>
      <p>
        <Syntax />
      </p>
      <Link to="./">Show everything</Link>
    </div>
  );
}

function NothingYet() {
  return (
    <div class="card empty">
      <h2>No logs yet</h2>
      <p>As soon as a container prints something with Docker's json-file driver, it is here. Try:</p>
      <Command text={'docker run --rm --name hello debian echo "hello from a container"'} />
    </div>
  );
}

/** The key must not be in an address, so the file goes through the page; the browser keeps it on disk. */
async function download(params: Params): Promise<void> {
  try {
    const response = await stream('api/logs/export', { ...params, format: 'text' });
    const url = URL.createObjectURL(await response.blob());
    const link = document.createElement('a');
    link.href = url;
    link.download = `${params.container || 'logs'}.txt`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    toast(troubleFrom(error).message, true);
  }
}

function isoOf(moment: number | undefined): string | undefined {
  return moment === undefined ? undefined : new Date(moment).toISOString();
}

/** What the address says; a time that is none is left to the service to refuse. */
function stretchOf(since: string, until: string): Stretch | undefined {
  const moment = (text: string) => (text ? parseTime(text).getTime() || undefined : undefined);
  return since || until ? { from: moment(since), to: moment(until) } : undefined;
}
