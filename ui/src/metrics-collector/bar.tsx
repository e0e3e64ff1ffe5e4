// What is looked at: project, time, how often it is asked for anew.
import { withChosen } from '../shared/choices';
import { RangePicker } from '../shared/range';
import { PERIODS, REFRESHES, type Changes, type Stretch, type View, stretchSeconds, zoomTo } from './view';

const SPAN_SECONDS_MIN = 120;

const REFRESH_WORDS: Record<number, string> = { 0: 'Off', 10: 'Every 10 s', 30: 'Every 30 s', 60: 'Every minute', 300: 'Every 5 min' };

interface BarProps {
  view: View;
  change: (changes: Changes) => void;
  projects: readonly string[];
  isLoading: boolean;
  reload: () => void;
}

export function Bar({ view, change, projects, isLoading, reload }: BarProps) {
  const { zoom, period, project, refresh } = view;
  const isFollowing = zoom === undefined;
  const move = (kind: Move) => change(zoomTo(moved(view, kind)));
  const refreshes = [0, ...REFRESHES].includes(refresh) ? [0, ...REFRESHES] : [0, ...REFRESHES, refresh];
  return (
    <div class="bar">
      {(projects.length > 0 || project) && (
        <label class="field project">
          <span>Project</span>
          <select value={project} onChange={(event) => change({ project: event.currentTarget.value })}>
            <option value="">All projects</option>
            {withChosen(projects, project).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <RangePicker
        value={period}
        choices={PERIODS}
        onChange={(period) => change({ period, ...zoomTo(undefined) })}
        stretch={zoom && { from: zoom.from * 1000, to: zoom.to * 1000 }}
        onStretch={({ from = 0, to = Date.now() }) => change(zoomTo({ from: Math.floor(from / 1000), to: Math.ceil(to / 1000) }))}
      />
      <div class="steps" role="group" aria-label="Move in time">
        <button onClick={() => move('earlier')} title="Earlier" aria-label="Earlier">
          ←
        </button>
        <button onClick={() => move('later')} disabled={isFollowing} title="Later" aria-label="Later">
          →
        </button>
        <button onClick={() => move('in')} disabled={stretchSeconds(view) <= SPAN_SECONDS_MIN} title="Zoom in" aria-label="Zoom in">
          +
        </button>
        <button onClick={() => move('out')} title="Zoom out" aria-label="Zoom out">
          −
        </button>
        {!isFollowing && <button onClick={() => change(zoomTo(undefined))}>Reset zoom</button>}
      </div>
      <label class="field">
        <span>Refresh</span>
        <select
          value={String(refresh)}
          disabled={!isFollowing}
          title={isFollowing ? undefined : 'A zoomed view stays as it is'}
          onChange={(event) => change({ refresh: event.currentTarget.value })}
        >
          {refreshes.map((seconds) => (
            <option key={seconds} value={String(seconds)}>
              {REFRESH_WORDS[seconds] ?? `Every ${seconds} s`}
            </option>
          ))}
        </select>
      </label>
      <button onClick={reload} aria-busy={isLoading} title="Refresh now" aria-label="Refresh now">
        ↻
      </button>
    </div>
  );
}

type Move = 'earlier' | 'later' | 'in' | 'out';

/** The stretch after a move; nothing where it would reach beyond now: it follows the time again then. */
export function moved(view: View, kind: Move, now = Math.ceil(Date.now() / 1000)): Stretch | undefined {
  const span = Math.max(stretchSeconds(view), SPAN_SECONDS_MIN);
  const { from, to } = view.zoom ?? { from: now - span, to: now };
  const half = Math.round(span / 2);
  switch (kind) {
    case 'earlier':
      return { from: Math.max(0, from - half), to: to - half };
    case 'later':
      return to + half > now ? undefined : { from: from + half, to: to + half };
    case 'in': {
      const quarter = Math.floor(span / 4);
      return { from: from + quarter, to: to - quarter };
    }
    case 'out': {
      const end = Math.min(to + half, now);
      return { from: Math.max(0, end - 2 * span), to: end };
    }
  }
}
