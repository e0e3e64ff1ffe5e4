// The lines of a chart as a table: what they are, what they come to, and which of them are drawn.
import { useMemo } from 'preact/hooks';
import { type Look, Swatch, timeInWords } from './chart';
import type { Format } from './figures';
import { type Line, summaryOf } from './lines';

/** More lines than anybody reads; grouping by fewer labels makes fewer. */
const ROWS_MAX = 200;

interface TableProps {
  lines: readonly Line[];
  looks: ReadonlyMap<string, Look>;
  drawn: ReadonlySet<string>;
  format: Format;
  /** The bucket whose values are shown. */
  place: number;
  /** When that is, while the cursor is there. */
  time: number | undefined;
  onDraw: (name: string, isDrawn: boolean) => void;
}

export function LineTable({ lines, looks, drawn, format, place, time, onDraw }: TableProps) {
  const rows = useMemo(() => lines.slice(0, ROWS_MAX).map((line) => ({ ...line, ...summaryOf(line.values) })), [lines]);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Lines of the chart">
      <table>
        <thead>
          <tr>
            <th>Line</th>
            <th class="number">{time === undefined ? 'Newest' : timeInWords(time)}</th>
            <th class="number">Mean</th>
            <th class="number">Smallest</th>
            <th class="number">Largest</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, values, mean, min, max }) => (
            <tr key={name}>
              <td class="words" title={name}>
                <label class="check">
                  <input
                    type="checkbox"
                    checked={drawn.has(name)}
                    onChange={(event) => onDraw(name, event.currentTarget.checked)}
                  />
                  <Swatch look={looks.get(name)} />
                  <bdi>{name}</bdi>
                </label>
              </td>
              {[values[place], mean, min, max].map((value, column) => (
                <td key={column} class="number">
                  {format(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {lines.length > ROWS_MAX && (
        <p class="note faint">and {lines.length - ROWS_MAX} smaller ones: filter, or group by fewer labels</p>
      )}
    </div>
  );
}
