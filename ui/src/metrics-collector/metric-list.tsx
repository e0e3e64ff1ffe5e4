// All metrics, to pick one: typing narrows the list.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Link } from '../shared/shell';
import type { Metric } from './answers';
import { type View, linkTo } from './view';

/** More at a time is not read but searched. */
const SHOWN_MAX = 200;

export function MetricList({ metrics, view }: { metrics: readonly Metric[]; view: View }) {
  const [search, setSearch] = useState('');
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = metrics.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    const current = list.current?.querySelector<HTMLElement>('[aria-current]');
    if (list.current && current) list.current.scrollTop = current.offsetTop - list.current.clientHeight / 2;
  }, []);
  return (
    <nav class="metrics" aria-label="Metrics">
      <input
        type="search"
        aria-label="Search metrics"
        placeholder={`Search ${metrics.length} metrics`}
        value={search}
        onInput={(event) => setSearch(event.currentTarget.value)}
      />
      <ul ref={list}>
        {found.slice(0, SHOWN_MAX).map(({ name, type }) => (
          <li key={`${name} ${type}`}>
            <Link to={linkTo({ metric: name, type })} current={name === view.metric && (!view.type || type === view.type)}>
              <bdi title={name}>{name}</bdi>
              <span class="faint">{type}</span>
            </Link>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p class="faint">No metric has this name.</p>}
      {found.length > SHOWN_MAX && <p class="faint">and {found.length - SHOWN_MAX} more: type to narrow</p>}
    </nav>
  );
}
