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
      {counts.map((count, hour) => {
        const height = count === 0 ? 0 : Math.max(2, (count / most) * HEIGHT);
        return <rect key={hour} x={hour * step} y={HEIGHT - height} width={step - 1} height={height} />;
      })}
    </svg>
  );
}
