// The errors that a filter asks for.
import { useEffect, useState } from 'preact/hooks';
import { address, get, send, troubleFrom } from '../shared/api';
import { type Remembered, useAnswer } from '../shared/answer';
import { withChosen } from '../shared/choices';
import { Command } from '../shared/command';
import { Link } from '../shared/shell';
import { RangePicker } from '../shared/range';
import { useRest } from '../shared/rest';
import { Time } from '../shared/time';
import { toast } from '../shared/toast';
import { TroubleLine } from '../shared/trouble';
import { TypedField } from '../shared/typed';
import { useQuery } from '../shared/url';
import { type Group, type GroupList, PAGE, listParams, offsetOf } from './model';
import { Sparkline } from './sparkline';

const RANGES = ['1h', '24h', '7d', '30d'] as const;
const REFRESHES = ['', '5', '30', '60'] as const;
const FILTERS = ['project', 'environment', 'source', 'session_id', 'search', 'time', 'resolved'] as const;
const REFRESH_SECONDS_MIN = 5;
/** More than a window has room for. */
const IN_SIGHT = 16;
/** While there is nothing, the first error should show soon. */
const FIRST_ERROR_SECONDS = 5;
const SORTS = { last_seen: 'Last seen', first_seen: 'First seen', count: 'Count' } as const;

/** The list as it was last: whoever comes back from an error finds it as it was. */
const last: { address: string; answer: Remembered<GroupList> } = { address: './', answer: {} };

/** Where that list is. */
export function listAddress(): string {
  return last.address;
}

export function List() {
  const [query, change] = useQuery();
  last.address = `./${location.search}`;
  const value = (name: string) => query.get(name) ?? '';
  const offset = offsetOf(query);
  const isFiltered = offset > 0 || FILTERS.some((name) => value(name));
  const [isEmpty, setEmpty] = useState(false);
  const { value: list, trouble, retryAt, isLoading, reload } = useAnswer(
    (signal) => get<GroupList>('api/errors', listParams(query), signal),
    // The start of a range moves with the time.
    [JSON.stringify({ ...listParams(query), since: value('time') })],
    isEmpty && !isFiltered ? FIRST_ERROR_SECONDS : refreshOf(value('refresh')),
    last.answer,
  );
  useEffect(() => setEmpty(list?.total === 0), [list]);
  const projects = useAnswer((signal) => get<{ projects: string[] }>('api/projects', {}, signal), [isEmpty]);
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const set = (name: string) => (event: Event) =>
    change({ [name]: (event.currentTarget as HTMLInputElement).value, offset: undefined });

  const shown = list?.errors ?? [];
  const isRest = useRest(list !== undefined, list !== undefined);
  const open = shown.filter((group) => !group.resolved);
  const picked = open.filter((group) => chosen.has(group.id));
  const resolve = async () => {
    try {
      const { count } = await send<{ count: number }>('api/errors/resolve', { ids: picked.map(({ id }) => id) });
      toast(count === 1 ? 'One error is resolved.' : `${count} errors are resolved.`);
      setChosen(new Set());
      reload();
    } catch (error) {
      toast(troubleFrom(error).message, true);
    }
  };
  const environments = [...new Set(shown.flatMap((group) => group.environments))].sort();

  return (
    <>
      <h1 class="visually-hidden">Errors</h1>
      <form class="bar" role="search" onSubmit={(event) => event.preventDefault()}>
        <TypedField
          class="grow"
          label="Search"
          placeholder="Type or message"
          value={value('search')}
          onChange={(search) => change({ search, offset: undefined }, true)}
        />
        <label class="field">
          <span>Project</span>
          <select value={value('project')} onChange={set('project')}>
            <option value="">All</option>
            {withChosen(projects.value?.projects ?? [], value('project')).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Environment</span>
          <input list="environments" size={12} placeholder="All" value={value('environment')} onChange={set('environment')} />
          <datalist id="environments">
            {environments.map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </label>
        <label class="field">
          <span>Source</span>
          <select value={value('source')} onChange={set('source')}>
            <option value="">All</option>
            <option value="server">Server</option>
            <option value="browser">Browser</option>
          </select>
        </label>
        <label class="field">
          <span>Status</span>
          <select value={value('resolved')} onChange={set('resolved')}>
            <option value="">Open</option>
            <option value="true">Resolved</option>
            <option value="all">All</option>
          </select>
        </label>
        <RangePicker value={value('time')} choices={RANGES} all="Any time" onChange={(time) => change({ time, offset: undefined })} />
        <label class="field">
          <span>Refresh</span>
          <select value={value('refresh')} onChange={set('refresh')}>
            {REFRESHES.map((seconds) => (
              <option key={seconds} value={seconds}>
                {seconds ? `Every ${seconds} s` : 'By hand'}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          onClick={() => {
            reload();
            projects.reload();
          }}
          aria-busy={isLoading}
        >
          Refresh
        </button>
      </form>
      {value('session_id') && (
        <p class="notice">
          Only of session <bdi class="mono">{value('session_id')}</bdi>.{' '}
          <button onClick={() => change({ session_id: undefined })}>All sessions</button>
        </p>
      )}
      <TroubleLine trouble={trouble} retryAt={retryAt} onRetry={reload} />
      {list && shown.length > 0 && (
        <>
          <div class="bar above">
            <p class="faint" role="status">
              {list.total === 1 ? 'One error' : `${list.total.toLocaleString()} errors`}
            </p>
            <button class="primary" disabled={picked.length === 0} onClick={() => void resolve()}>
              {picked.length > 0 ? `Resolve ${picked.length}` : 'Resolve'}
            </button>
          </div>
          <div class="scroll errors" tabIndex={0} role="region" aria-label="Errors">
            <table>
              <thead>
                <tr>
                  <th scope="col">
                    <input
                      type="checkbox"
                      aria-label="Choose all open errors of this page"
                      disabled={open.length === 0}
                      checked={open.length > 0 && picked.length === open.length}
                      onChange={(event) =>
                        setChosen(new Set(event.currentTarget.checked ? open.map(({ id }) => id) : []))
                      }
                    />
                  </th>
                  <th scope="col">Error</th>
                  <th scope="col">Last 24 hours</th>
                  {Object.entries(SORTS).map(([name, words]) => (
                    <SortHeader
                      key={name}
                      words={words}
                      isNumber={name === 'count'}
                      isCurrent={(value('sort') || 'last_seen') === name}
                      onSort={() => change({ sort: name === 'last_seen' ? undefined : name, offset: undefined })}
                    />
                  ))}
                </tr>
              </thead>
              <tbody>
                {shown.slice(0, isRest ? PAGE : IN_SIGHT).map((group) => (
                  <Row
                    key={group.id}
                    group={group}
                    isChosen={chosen.has(group.id)}
                    onChoose={(isChosen) => {
                      const next = new Set(chosen);
                      if (isChosen) next.add(group.id);
                      else next.delete(group.id);
                      setChosen(next);
                    }}
                  />
                ))}
              </tbody>
            </table>
          </div>
          <Pages offset={offset} total={list.total} onMove={(offset) => change({ offset: offset ? String(offset) : undefined })} />
        </>
      )}
      {list && shown.length === 0 && (isFiltered ? <NothingFound /> : <NothingYet />)}
      {!list && isLoading && <p class="faint">Loading…</p>}
    </>
  );
}

function Row(props: { group: Group; isChosen: boolean; onChoose: (isChosen: boolean) => void }) {
  const { group, isChosen, onChoose } = props;
  return (
    <tr>
      <td>
        {!group.resolved && (
          <input
            type="checkbox"
            aria-label={`Choose ${group.exception_type}`}
            checked={isChosen}
            onChange={(event) => onChoose(event.currentTarget.checked)}
          />
        )}
      </td>
      <td class="what">
        <Link class="title" to={`errors/${group.id}`}>
          <bdi>{group.exception_type}</bdi>
        </Link>
        <p class="message">
          <bdi>{group.message}</bdi>
        </p>
        <p class="labels">
          <span class="badge">
            <bdi>{group.project}</bdi>
          </span>
          {group.environments.slice(0, 3).map((name) => (
            <span class="badge" key={name}>
              <bdi>{name}</bdi>
            </span>
          ))}
          {group.environments.length > 3 && <span class="badge">+{group.environments.length - 3}</span>}
          {group.source === 'browser' && <span class="badge">browser</span>}
          {group.resolved && <span class="badge good">resolved</span>}
        </p>
      </td>
      <td>
        <Sparkline counts={group.activity} />
      </td>
      <td class="nowrap">
        <Time value={group.last_seen} />
      </td>
      <td class="nowrap">
        <Time value={group.first_seen} />
      </td>
      <td class="number">{group.count.toLocaleString()}</td>
    </tr>
  );
}

function SortHeader(props: { words: string; isNumber: boolean; isCurrent: boolean; onSort: () => void }) {
  return (
    <th scope="col" class={props.isNumber ? 'number' : undefined} aria-sort={props.isCurrent ? 'descending' : 'none'}>
      <button onClick={props.onSort}>
        {props.words}
        {props.isCurrent && <span aria-hidden="true"> ↓</span>}
      </button>
    </th>
  );
}

function Pages(props: { offset: number; total: number; onMove: (offset: number) => void }) {
  const { offset, total, onMove } = props;
  if (total <= PAGE && offset === 0) return null;
  return (
    <nav class="bar pages" aria-label="Pages of the list">
      <button disabled={offset === 0} onClick={() => onMove(Math.max(0, offset - PAGE))}>
        Previous
      </button>
      <span class="faint">
        {(offset + 1).toLocaleString()} to {Math.min(offset + PAGE, total).toLocaleString()} of {total.toLocaleString()}
      </span>
      <button disabled={offset + PAGE >= total} onClick={() => onMove(offset + PAGE)}>
        Next
      </button>
    </nav>
  );
}

/** A link must not make a page that asks all the time. */
function refreshOf(text: string): number {
  const seconds = Number.parseInt(text, 10);
  return seconds > 0 ? Math.max(REFRESH_SECONDS_MIN, seconds) : 0;
}

function NothingFound() {
  return (
    <div class="card empty">
      <h2>No error matches</h2>
      <p>Nothing was reported that fits these filters.</p>
      <Link to="./">Show all open errors</Link>
    </div>
  );
}

function NothingYet() {
  const command = `curl -X POST '${address('api/errors')}' \\
  -H "X-API-Key: $KEY" \\
  -d '{"project": "shop", "exception_type": "ValueError", "message": "no such order",
       "traceback": "Traceback (most recent call last):\\n  File \\"/app/pay.py\\", line 12, in pay\\nValueError: no such order"}'`;
  return (
    <div class="card empty">
      <h2>No errors yet</h2>
      <p>
        Nothing is open. To see how one looks, report it; this page shows it a moment later. <code>$KEY</code> is the key this page
        was opened with.
      </p>
      <Command text={command} />
      <p class="faint">
        The <code>monlight</code> package for Python reports what FastAPI, Flask and Django do not catch, and
        <code> @monlight/browser</code> what happens in a page.
      </p>
    </div>
  );
}
