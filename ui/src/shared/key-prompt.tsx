// Asks for the API key.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { setApiKey } from './key';

let open: (why: string) => void = () => {};

/** Opens the prompt, saying why. */
export function askForKey(why: string): void {
  open(why);
}

/** The prompt; once per page. `onKey` is called with a new key in place. */
export function KeyPrompt({ onKey }: { onKey: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [why, setWhy] = useState('');
  const [key, setKey] = useState('');
  const [remember, setRemember] = useState(false);
  useLayoutEffect(() => {
    open = (why) => {
      setWhy(why);
      if (!dialog.current?.open) dialog.current?.showModal();
    };
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!key.trim()) return;
    setApiKey(key.trim(), remember);
    setKey('');
    dialog.current?.close();
    onKey();
  };
  return (
    <dialog ref={dialog} class="prompt" aria-labelledby="key-title">
      <form onSubmit={submit}>
        <h2 id="key-title">API key</h2>
        <p>{why} It is the API_KEY the service was started with.</p>
        <label class="field">
          <span>Key</span>
          <input
            type="password"
            autocomplete="current-password"
            required
            pattern="[ -~]+"
            title="A key has no other signs than letters, digits and punctuation of ASCII."
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        <label class="check">
          <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.currentTarget.checked)} />
          Remember on this device
        </label>
        <div class="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Use this key
          </button>
        </div>
      </form>
    </dialog>
  );
}
