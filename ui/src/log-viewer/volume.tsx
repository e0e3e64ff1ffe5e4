// How much was logged when, by level. Dragging over it zooms in.
import { useRef, useState } from 'preact/hooks';
import { inFull } from '../shared/time';
import { type Histogram, LEVELS } from './model';

const WIDTH = 1_000;
const HEIGHT = 64;
const NOTHING: Histogram = { from: null, to: null, bucket_seconds: null, buckets: [] };

/** Has its place from the beginning, so that nothing jumps when the numbers come. */
export function Volume(props: { histogram: Histogram | undefined; isSearched: boolean; onZoom: (since: string, until: string) => void }) {
  const { from, to, bucket_seconds: seconds, buckets } = props.histogram ?? NOTHING;
  const svg = useRef<SVGSVGElement>(null);
  const [drag, setDrag] = useState<[number, number] | undefined>();
  if (!from || !to || !seconds) return <figure class="volume" />;
  const [begin, end] = [Date.parse(zoned(from)), Date.parse(zoned(to))];
  const x = (time: number) => ((time - begin) / (end - begin)) * WIDTH;
  const total = (bucket: Histogram['buckets'][number]) => Object.values(bucket.counts).reduce((sum, count) => sum + count, 0);
  const most = Math.max(1, ...buckets.map(total));
  const all = buckets.reduce((sum, bucket) => sum + total(bucket), 0);
  const place = (event: PointerEvent) => {
    const box = svg.current?.getBoundingClientRect();
    return box ? Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) : 0;
  };
  const release = () => {
    if (!drag) return;
    const [low, high] = [Math.min(...drag), Math.max(...drag)];
    setDrag(undefined);
    // A click is no stretch of time.
    if (high - low < 0.01) return;
    const moment = (part: number) => new Date(begin + part * (end - begin)).toISOString();
    props.onZoom(moment(low), moment(high));
  };
  const words = `${all.toLocaleString()} entries from ${inFull(new Date(begin))} to ${inFull(new Date(end))}, at most ${most.toLocaleString()} in ${lengthInWords(seconds)}`;
  return (
    <figure class="volume">
      <svg
        ref={svg}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={words}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag([place(event), place(event)]);
        }}
        onPointerMove={(event) => drag && setDrag([drag[0], place(event)])}
        onPointerUp={release}
        onPointerCancel={() => setDrag(undefined)}
      >
        <title>Drag to zoom in</title>
        {buckets.map((bucket) => {
          const start = Date.parse(zoned(bucket.time));
          let below = HEIGHT;
          return (
            <g key={bucket.time}>
              <title>{`${inFull(new Date(start))}: ${LEVELS.filter((level) => bucket.counts[level]).map((level) => `${level} ${bucket.counts[level]?.toLocaleString()}`).join(', ')}`}</title>
              {LEVELS.map((level) => {
                const count = bucket.counts[level];
                if (!count) return null;
                const height = Math.max(1, (count / most) * HEIGHT);
                below -= height;
                const width = Math.max(1, x(start + seconds * 1000) - x(start) - 1);
                return <rect key={level} class={level.toLowerCase()} x={x(start)} y={below} width={width} height={height} />;
              })}
            </g>
          );
        })}
        {drag && <rect class="zoom" x={Math.min(...drag) * WIDTH} y="0" width={Math.abs(drag[1] - drag[0]) * WIDTH} height={HEIGHT} />}
      </svg>
      <figcaption class="faint">
        <span>{inFull(new Date(begin))}</span>
        <span class="levels">
          {props.isSearched && 'Searched in:'}
          {LEVELS.map((level) => {
            const count = buckets.reduce((sum, { counts }) => sum + (counts[level] ?? 0), 0);
            return (
              count > 0 && (
                <span key={level} class={level.toLowerCase()}>
                  {level} <b>{count.toLocaleString()}</b>
                </span>
              )
            );
          })}
        </span>
        <span>{inFull(new Date(end))}</span>
      </figcaption>
    </figure>
  );
}

/** The services write UTC. */
function zoned(time: string): string {
  return time.endsWith('Z') ? time : `${time}Z`;
}

function lengthInWords(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${seconds / 60} min`;
  if (seconds < 86_400) return `${seconds / 3_600} h`;
  return `${seconds / 86_400} d`;
}
