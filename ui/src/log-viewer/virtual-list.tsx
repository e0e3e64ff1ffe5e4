// A list of which only the rows in sight are on the page.
import type { ComponentChild } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useRest } from '../shared/rest';
import type { Entry } from './model';
import type { Side } from './neighbours';
import { ROW_HEIGHT, type Rows } from './rows';

/** Drawn beyond what is in sight, so that scrolling finds rows there. */
const OVERSCAN_PX = 400;
const SPOKEN_MAX = 300;
/** How far from an end more is asked for. */
const NEAR_END_PX = 1_500;

export interface ListHandle {
  scrollToTop: () => void;
  isAtTop: () => boolean;
}

/** Where the list goes with what is drawn next: so far down, or that much further. */
export type Jump = { to: number } | { by: number };

export function VirtualList(props: {
  rows: Rows;
  /** Changes whenever `rows` did. */
  version: number;
  render: (entry: Entry) => ComponentChild;
  onToggle: (entry: Entry) => void;
  onNearEnd: (side: Side) => void;
  handle: { current: ListHandle | undefined | null };
  /** Taken when the rows it counts on are there. */
  jump: { current: Jump | undefined };
  label: string;
}) {
  const { rows, onNearEnd } = props;
  const view = useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = useState({ top: 0, height: innerHeight });
  /** Draws only when something changed. */
  const look = ({ scrollTop: top, clientHeight: height }: HTMLElement) =>
    setScroll((before) => (before.top === top && before.height === height ? before : { top, height }));
  /** The id of the row that keys act on: its place changes when lines arrive. */
  const [current, setCurrent] = useState<number>();
  const [, redraw] = useState(0);

  props.handle.current = {
    scrollToTop: () => view.current?.scrollTo({ top: 0 }),
    isAtTop: () => (view.current?.scrollTop ?? 0) < 4,
  };

  useEffect(() => {
    const element = view.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => look(element));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const beyond = useRest() ? OVERSCAN_PX : 0;
  const first = rows.at(Math.max(0, scroll.top - beyond));
  const last = Math.min(rows.entries.length, rows.at(scroll.top + scroll.height + beyond) + 1);
  const shown = rows.entries.slice(first, last);

  useLayoutEffect(() => {
    const element = view.current;
    if (!element) return;
    const jump = props.jump.current;
    if (jump) {
      props.jump.current = undefined;
      element.scrollTop = 'to' in jump ? jump.to : element.scrollTop + jump.by;
      look(element);
    }
    let [above, changed] = [0, false];
    for (const row of element.querySelectorAll<HTMLElement>('[data-row]')) {
      const index = Number(row.dataset.row);
      const entry = rows.entries[index];
      if (!entry) continue;
      const isAbove = rows.top(index) < element.scrollTop;
      const by = rows.measure(entry, row.offsetHeight);
      if (by !== 0) changed = true;
      if (isAbove) above += by;
    }
    if (above !== 0) element.scrollTop += above;
    if (changed) redraw((turn) => turn + 1);
  });

  useEffect(() => {
    const top = view.current?.scrollTop ?? 0;
    if (rows.top(rows.entries.length) - top - scroll.height < NEAR_END_PX) onNearEnd('older');
    if (top < NEAR_END_PX) onNearEnd('newer');
  }, [props.version, scroll, onNearEnd]);

  const move = (to: number) => {
    const index = Math.min(Math.max(0, to), rows.entries.length - 1);
    const element = view.current;
    const entry = rows.entries[index];
    if (!element || !entry) return;
    setCurrent(entry.id);
    const [top, bottom] = [rows.top(index), rows.top(index + 1)];
    if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop + element.clientHeight) element.scrollTop = bottom - element.clientHeight;
    element.focus({ preventScroll: true });
  };
  const press = (event: KeyboardEvent) => {
    // What is inside an opened row has keys of its own.
    if (event.target instanceof Element && event.target.closest('.opened')) return;
    const at = rows.entries.findIndex(({ id }) => id === current);
    const page = Math.max(1, Math.floor(scroll.height / ROW_HEIGHT) - 1);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.entries.length - 1,
    };
    const to = steps[event.key];
    const entry = rows.entries[at];
    if (to !== undefined) move(to);
    else if ((event.key === 'Enter' || event.key === ' ') && entry && event.target === view.current) props.onToggle(entry);
    else return;
    event.preventDefault();
  };

  return (
    <>
      <div
        ref={view}
        class="lines"
        role="list"
        aria-label={props.label}
        tabIndex={0}
        onKeyDown={press}
        onScroll={({ currentTarget }) => look(currentTarget)}
      >
        <div style={{ height: `${rows.top(first)}px` }} />
        {shown.map((entry, at) => (
          <div
            key={entry.id}
            data-row={first + at}
            role="listitem"
            class={entry.id === current ? 'row current' : 'row'}
            onClick={() => setCurrent(entry.id)}
          >
            {props.render(entry)}
          </div>
        ))}
        <div style={{ height: `${rows.top(rows.entries.length) - rows.top(last)}px` }} />
      </div>
      <p class="visually-hidden" aria-live="polite">
        {spoken(shown.find(({ id }) => id === current))}
      </p>
    </>
  );
}

/** Read aloud as the keys go from row to row: the rows themselves never have the focus. */
function spoken(entry: Entry | undefined): string {
  return entry ? `${entry.level}, ${entry.container}: ${entry.message.slice(0, SPOKEN_MAX)}` : '';
}
