// Metrics: a dashboard, and an explorer for any metric.
import { useState } from 'preact/hooks';
import { useAnswer } from '../shared/answer';
import { mount } from '../shared/mount';
import { Link, Shell } from '../shared/shell';
import { TroubleLine } from '../shared/trouble';
import { useTitle } from '../shared/title';
import { useQuery } from '../shared/url';
import { lists } from './answers';
import { Bar } from './bar';
import { Dashboard, useDashboard } from './dashboard';
import { NoMetrics } from './empty';
import { Explorer } from './explorer';
import './metrics.css';
import { type Changes, type View, linkTo, viewOf } from './view';

/** While nothing was ever sent, the first value should show soon. */
const FIRST_VALUE_SECONDS = 5;
/** New metrics are rare. */
const LISTS_SECONDS = 60;

/** What is looked at, and a way to change it. */
function useView(): [View, (changes: Changes, replace?: boolean) => void] {
  const [query, change] = useQuery();
  return [viewOf(query), change];
}

function Pages() {
  const [{ isExplorer }] = useView();
  return (
    <>
      <Link to={linkTo({})} current={!isExplorer}>
        Dashboard
      </Link>
      <Link to={linkTo({ view: 'explorer' })} current={isExplorer}>
        Explorer
      </Link>
    </>
  );
}

function Metrics() {
  const [view, change] = useView();
  const [isEmpty, setIsEmpty] = useState(false);
  const all = useAnswer(
    async (signal) => {
      const all = await lists(view.project, signal);
      setIsEmpty(all.metrics.length === 0 && !view.project);
      return all;
    },
    [view.project],
    isEmpty ? FIRST_VALUE_SECONDS : LISTS_SECONDS,
  );
  useTitle(view.isExplorer ? view.metric || 'Explorer' : undefined);
  const board = useDashboard(view, !view.isExplorer && !isEmpty);
  const [turn, setTurn] = useState(0);
  const [isExploring, setIsExploring] = useState(false);
  const trouble = all.trouble ? all : board;
  const reload = () => {
    all.reload();
    board.reload();
    setTurn(turn + 1);
  };
  // A link that says all needs no list to begin with.
  const isNamed = view.metric !== '' && view.type !== '';
  const { metrics, projects } = all.value ?? { metrics: [], projects: [] };
  return (
    <>
      <Bar
        view={view}
        change={change}
        projects={projects}
        isLoading={board.isLoading || all.isLoading || isExploring}
        reload={reload}
      />
      <TroubleLine trouble={trouble.trouble} retryAt={trouble.retryAt} onRetry={reload} />
      {isEmpty && <NoMetrics />}
      {!isEmpty && view.isExplorer && (all.value || isNamed) && (
        <Explorer
          view={view}
          change={change}
          metrics={metrics}
          said={trouble.trouble?.message}
          turn={turn}
          onLoading={setIsExploring}
        />
      )}
      {!isEmpty && !view.isExplorer && board.value && (
        <Dashboard view={view} change={change} value={board.value} metrics={metrics} />
      )}
      {!all.value && !board.value && !trouble.trouble && <p class="faint">Loading…</p>}
    </>
  );
}

void mount(
  <Shell name="Metrics" nav={<Pages />}>
    <Metrics />
  </Shell>,
);
