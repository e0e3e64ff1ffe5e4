// The lines of a chart as a table: what they are, what they come to, and which of them are drawn.
import type { Look } from './chart';
import { Swatch } from './chart';
import type { Format } from './figures';
import { type Line, summaryOf } from './lines';

/** More lines than anybody reads; grouping by fewer labels makes fewer. */
const ROWS_MAX = 200;

interface TableProps {
  lines: readonly Line[];
  looks: ReadonlyMap<string, Look>;
  drawn: ReadonlySet<string>;
  format: Format;
  onDraw: (name: string, isDrawn: boolean) => void;
}

export function LineTable({ lines, looks, drawn, format, onDraw }: TableProps) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Lines of the chart">
      <table>
        <thead>
          <tr>
            <th>Line</th>
            <th class="number">Newest</th>
            <th class="number">Mean</th>
            <th class="number">Smallest</th>
            <th class="number">Largest</th>
          </tr>
        </thead>
        <tbody>
          {lines.slice(0, ROWS_MAX).map(({ name, values }) => {
            const { last, mean, min, max } = summaryOf(values);
            return (
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
                {[last, mean, min, max].map((value, column) => (
                  <td key={column} class="number">
                    {format(value)}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
      {lines.length > ROWS_MAX && (
        <p class="note faint">and {lines.length - ROWS_MAX} smaller ones: filter, or group by fewer labels</p>
      )}
    </div>
  );
}
