// The lines of a chart as a table: what they are, what they come to, and which of them are drawn.
import { Fragment } from 'preact';
import { useMemo } from 'preact/hooks';
import { type Look, Moment, Swatch } from './chart';
import type { Format } from './figures';
import { type Line, type Lines, summaryOf } from './lines';

/** More lines than anybody reads; grouping by fewer labels makes fewer. */
const ROWS_MAX = 200;

interface TableProps {
  lines: readonly Line[];
  looks: ReadonlyMap<string, Look>;
  drawn: ReadonlySet<string>;
  format: Format;
  data: Lines;
  /** The bucket under the cursor: its values are shown then, else the newest of each line. */
  place: number | undefined;
  onDraw: (name: string, isDrawn: boolean) => void;
}

export function LineTable({ lines, looks, drawn, format, data, place, onDraw }: TableProps) {
  const rows = useMemo(() => lines.slice(0, ROWS_MAX).map((line) => ({ ...line, ...summaryOf(line.values) })), [lines]);
  const time = place === undefined ? undefined : data.times[place];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Lines of the chart">
      <table>
        <thead>
          <tr>
            <th>Line</th>
            <th class="number">{time === undefined ? 'Newest' : <Moment second={time} data={data} />}</th>
            <th class="number">Mean</th>
            <th class="number">Smallest</th>
            <th class="number">Largest</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, labels, values, last, mean, min, max }) => (
            <tr key={name}>
              <td class="words" title={name}>
                <label class="check">
                  <input
                    type="checkbox"
                    checked={drawn.has(name)}
                    onChange={(event) => onDraw(name, event.currentTarget.checked)}
                  />
                  <Swatch look={looks.get(name)} />
                  <LineName name={name} labels={labels} />
                </label>
              </td>
              {[place === undefined ? last : values[place], mean, min, max].map((value, column) => (
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

function LineName({ name, labels = [] }: { name: string; labels: [string, string][] | undefined }) {
  return (
    <span class="line-name">
      {labels.length === 0 && <bdi>{name}</bdi>}
      {labels.map(([label, value]) => (
        <Fragment key={label}>
          <bdi>{label}</bdi>=<bdi>{value}</bdi>{' '}
        </Fragment>
      ))}
    </span>
  );
}
