// The stretch of time a page looks at: so long until now, or from one date to another.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { withChosen } from './choices';
import { lazily } from './lazily';
import { rangeInWords } from './ranges';

/** From one moment to another, in milliseconds since 1970; without an end, until now. */
export interface Stretch {
  from: number | undefined;
  to: number | undefined;
}

const DATES = 'dates';
const CHOSEN = 'chosen';

/** A range as the URL has it (`15m`, `24h`, `7d`, or nothing for all), or dates. */
export function RangePicker(props: {
  value: string;
  choices: readonly string[];
  all?: string;
  onChange: (value: string) => void;
  /** What is looked at instead of `value`. */
  stretch?: Stretch | undefined;
  onStretch?: (stretch: Stretch) => void;
}) {
  const { stretch, onStretch } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  // Drawn when it is asked for: to name the zone, Intl takes longer than all else that is seen first.
  const [isOpen, setOpen] = useState(false);
  useLayoutEffect(() => {
    if (isOpen) dialog.current?.showModal();
  }, [isOpen]);
  const value = stretch ? CHOSEN : props.value;
  const choose = (event: Event) => {
    const select = event.currentTarget as HTMLSelectElement;
    const chosen = select.value;
    if (chosen !== DATES) props.onChange(chosen);
    else {
      select.value = value;
      setOpen(true);
    }
  };
  return (
    <>
      <label class="field">
        <span>Time</span>
        <select value={value} onChange={choose}>
          {props.all !== undefined && <option value="">{props.all}</option>}
          {withChosen(props.choices, props.value).map((choice) => (
            <option key={choice} value={choice}>
              {rangeInWords(choice)}
            </option>
          ))}
          {stretch && <option value={CHOSEN}>{stretchInWords(stretch)}</option>}
          {onStretch && <option value={DATES}>Choose dates…</option>}
        </select>
      </label>
      {onStretch && (
        <dialog ref={dialog} class="prompt" aria-label="Choose dates" onClose={() => setOpen(false)}>
          {isOpen && (
            <Dates
              stretch={stretch}
              onCancel={() => dialog.current?.close()}
              onStretch={(stretch) => {
                dialog.current?.close();
                onStretch(stretch);
              }}
            />
          )}
        </dialog>
      )}
    </>
  );
}

function Dates(props: { stretch: Stretch | undefined; onCancel: () => void; onStretch: (stretch: Stretch) => void }) {
  const from = useRef<HTMLInputElement>(null);
  const to = useRef<HTMLInputElement>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    const stretch = { from: momentOf(from.current), to: momentOf(to.current) };
    if ((stretch.from ?? 0) < (stretch.to ?? Date.now())) return props.onStretch(stretch);
    to.current?.setCustomValidity('The end is not after the beginning.');
    to.current?.reportValidity();
  };
  const forgive = () => to.current?.setCustomValidity('');
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <form onSubmit={submit}>
      <h2>Choose dates</h2>
      <p>Times of {zone}. Without an end it is until now.</p>
      <label class="field">
        <span>From</span>
        <input ref={from} type="datetime-local" step="1" required defaultValue={local(props.stretch?.from)} onInput={forgive} />
      </label>
      <label class="field">
        <span>To</span>
        <input ref={to} type="datetime-local" step="1" defaultValue={local(props.stretch?.to)} onInput={forgive} />
      </label>
      <div class="actions">
        <button type="button" onClick={props.onCancel}>
          Cancel
        </button>
        <button type="submit" class="primary">
          Show
        </button>
      </div>
    </form>
  );
}

/** As the input has it: in the viewer's zone, without naming it. */
function local(moment: number | undefined): string {
  if (moment === undefined) return '';
  const shifted = moment - new Date(moment).getTimezoneOffset() * 60_000;
  return new Date(shifted).toISOString().slice(0, 19);
}

function momentOf(input: HTMLInputElement | null): number | undefined {
  return input?.value ? new Date(input.value).getTime() : undefined;
}

const dates = lazily(() => new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }));

function stretchInWords({ from, to }: Stretch): string {
  if (from === undefined) return to === undefined ? 'Always' : `Until ${dates().format(to)}`;
  return to === undefined ? `Since ${dates().format(from)}` : dates().formatRange(from, to);
}
