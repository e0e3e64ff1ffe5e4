// What there is to see when there is nothing yet: how to send a first value.
import { address } from '../shared/api';
import { Command } from '../shared/command';
import type { Changes, View } from './view';
import { zoomTo } from './view';

export function NoMetrics() {
  const command = `curl -X POST '${address('api/metrics')}' \\
  -H "X-API-Key: $KEY" \\
  -d '[{"name": "http_requests_total", "type": "counter", "value": 1,
        "labels": {"method": "GET", "status": "200"}}]'`;
  return (
    <div class="empty card">
      <h2>No metrics yet</h2>
      <p>Send a first value; this page shows it a moment later. <code>$KEY</code> is the key this page was opened with.</p>
      <Command text={command} />
      <p class="faint">
        The <code>monlight</code> package for Python sends requests and their latency from FastAPI by itself, and
        <code> @monlight/browser</code> the Web Vitals of a page.
      </p>
    </div>
  );
}

export function NothingInPeriod({ view, change }: { view: View; change: (changes: Changes) => void }) {
  const isLong = view.period === '30d' && !view.zoom;
  return (
    <div class="empty card">
      <h2>No values in this time</h2>
      <p>
        {view.project ? (
          <>
            The project <bdi>{view.project}</bdi> has sent none.
          </>
        ) : (
          'There are metrics, but nothing was sent then.'
        )}
      </p>
      <div class="bar">
        {!isLong && <button onClick={() => change({ period: '30d', ...zoomTo(undefined) })}>Look at the last 30 days</button>}
        {view.project && <button onClick={() => change({ project: '' })}>Look at all projects</button>}
      </div>
    </div>
  );
}
