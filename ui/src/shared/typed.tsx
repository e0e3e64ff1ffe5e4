// A text field that waits until the typing pauses: each letter is no request.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';

const PAUSE_MS = 300;

/** A search field; `onChange` hears of the text when the typing pauses, or at once on Enter. */
export function TypedField(props: {
  label: string;
  placeholder: string;
  value: string;
  onChange: (text: string) => void;
  class?: string;
  /** How to write it; seen while somebody does. */
  hint?: ComponentChildren;
}) {
  const hintId = useId();
  const [text, setText] = useState(props.value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  // What was set from elsewhere, such as by going back.
  useEffect(() => setText(props.value), [props.value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const tell = (text: string) => {
    clearTimeout(timer.current);
    if (text !== props.value) props.onChange(text);
  };
  return (
    <label class={`field ${props.class ?? ''}`}>
      <span>{props.label}</span>
      <input
        type="search"
        placeholder={props.placeholder}
        value={text}
        spellcheck={false}
        aria-label={props.label}
        aria-describedby={props.hint ? hintId : undefined}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          setText(typed);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => tell(typed), PAUSE_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter') tell(event.currentTarget.value);
        }}
      />
      {props.hint && (
        <p id={hintId} class="hint card">
          {props.hint}
        </p>
      )}
    </label>
  );
}
