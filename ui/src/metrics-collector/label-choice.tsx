// By which labels series are told apart, and which of them are left out.
import { useState } from 'preact/hooks';
import type { Labels } from './answers';

/** The API groups by so many at most. */
const LABELS_MAX = 32;

type Known = Labels['labels'];

export function GroupBy(props: { labels: Known; value: readonly string[]; onChange: (names: string[]) => void }) {
  const { labels, value, onChange } = props;
  // A comma would be read as two labels.
  const names = labels.map(({ name }) => name).filter((name) => !name.includes(',')).slice(0, LABELS_MAX);
  const all = [...names, ...value.filter((name) => !names.includes(name))];
  if (all.length === 0) return null;
  const toggle = (name: string) =>
    onChange(value.includes(name) ? value.filter((other) => other !== name) : [...value, name]);
  return (
    <div class="field" role="group" aria-label="Group by">
      <span>Group by</span>
      <div class="toggles">
        {all.map((name) => (
          <button key={name} aria-pressed={value.includes(name)} title={name} onClick={() => toggle(name)}>
            <bdi>{name}</bdi>
          </button>
        ))}
      </div>
    </div>
  );
}

export function Filters(props: {
  labels: Known;
  value: readonly [string, string][];
  onChange: (labels: [string, string][]) => void;
}) {
  const { labels, value, onChange } = props;
  const [name, setName] = useState('');
  const [wanted, setWanted] = useState('');
  const known = labels.find((label) => label.name === name) ?? labels[0];
  if (!known && value.length === 0) return null;
  const add = (event: Event) => {
    event.preventDefault();
    if (!known) return;
    onChange([...value.filter(([other]) => other !== known.name), [known.name, wanted]]);
    setWanted('');
  };
  return (
    <div class="field" role="group" aria-label="Filter">
      <span>Filter</span>
      <form class="toggles" onSubmit={add}>
        {value.map(([label, text]) => (
          <button
            key={label}
            type="button"
            aria-pressed={true}
            title={`Remove the filter ${label} = ${text}`}
            onClick={() => onChange(value.filter(([other]) => other !== label))}
          >
            <bdi>{label}</bdi> = <bdi>{text}</bdi> ×
          </button>
        ))}
        {known && (
          <>
            <select aria-label="Label" value={known.name} onChange={(event) => setName(event.currentTarget.value)}>
              {labels.map((label) => (
                <option key={label.name} value={label.name}>
                  {label.name}
                </option>
              ))}
            </select>
            <input
              list="label-values"
              aria-label="Value"
              placeholder="is"
              value={wanted}
              onInput={(event) => setWanted(event.currentTarget.value)}
            />
            <datalist id="label-values">
              {known.values.map((text) => (
                <option key={text} value={text} />
              ))}
            </datalist>
            <button type="submit" disabled={wanted === ''}>
              Add
            </button>
          </>
        )}
      </form>
    </div>
  );
}
