// The last 24 hours of an error, small.

const WIDTH = 96;
const HEIGHT = 20;

/** Bars of the reports per hour; read out as a sentence. */
export function Sparkline({ counts }: { counts: number[] }) {
  const most = Math.max(1, ...counts);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const step = WIDTH / counts.length;
  const words = total === 0 ? 'none in the last 24 hours' : `${total} in the last 24 hours, at most ${most} in one`;
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={words}>
      <title>{words}</title>
      <line x1="0" y1={HEIGHT - 0.5} x2={WIDTH} y2={HEIGHT - 0.5} class="floor" />
      <path d={counts.map((count, hour) => barOf(hour * step, step - 1, count / most)).join('')} />
    </svg>
  );
}

/** One path for all bars: a list of fifty would have more than a thousand elements for them. */
function barOf(x: number, width: number, share: number): string {
  if (share === 0) return '';
  return `M${x} ${HEIGHT}v${-Math.max(2, share * HEIGHT)}h${width}V${HEIGHT}z`;
}
