// Short messages about what an action came to.
import { useLayoutEffect, useState } from 'preact/hooks';

const SHOWN_MS = 5_000;
/** More at a time would be a wall. */
const TOASTS_MAX = 4;

interface Toast {
  id: number;
  text: string;
  isBad: boolean;
}

let nextId = 0;
let toasts: Toast[] = [];
let show: (toasts: Toast[]) => void = () => {};

/** Tells the viewer; read aloud too. */
export function toast(text: string, isBad = false): void {
  const id = nextId++;
  toasts = [...toasts, { id, text, isBad }].slice(-TOASTS_MAX);
  show(toasts);
  setTimeout(() => {
    toasts = toasts.filter((toast) => toast.id !== id);
    show(toasts);
  }, SHOWN_MS);
}

/** Where they appear; once per page. */
export function Toasts() {
  const [shown, setShown] = useState(toasts);
  useLayoutEffect(() => {
    show = setShown;
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown.map(({ id, text, isBad }) => (
        <p key={id} class={isBad ? 'toast bad' : 'toast'}>
          <bdi>{text}</bdi>
        </p>
      ))}
    </div>
  );
}
