// The frame of every page: name, theme, key.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { apiKey, forgetApiKey } from './key';
import { KeyPrompt, askForKey } from './key-prompt';
import { type Theme, chooseTheme, storedTheme } from './theme';
import { Toasts, toast } from './toast';
import { go, usePath } from './url';

const NEXT: Record<Theme, Theme> = { system: 'dark', dark: 'light', light: 'system' };
const LABELS: Record<Theme, string> = { system: 'auto', dark: 'dark', light: 'light' };

/** Header and page. `nav` stands beside the name; `children` gets a new life when the key changes. */
export function Shell(props: { name: string; nav?: ComponentChildren; children: ComponentChildren }) {
  const [theme, setTheme] = useState(storedTheme);
  useFocusOfPage();
  const [keys, setKeys] = useState(0);
  const turn = () => {
    chooseTheme(NEXT[theme]);
    setTheme(NEXT[theme]);
  };
  const forget = () => {
    forgetApiKey();
    toast('The key is forgotten on this device.');
    setKeys(keys + 1);
  };
  return (
    <>
      <a class="skip" href="#content" onClick={focusContent}>
        Skip to content
      </a>
      <header class="top">
        <Link class="name" to="./">
          <Mark />
          {props.name}
        </Link>
        <nav aria-label="Pages">{props.nav}</nav>
        <div class="tools">
          <button class="quiet" onClick={turn} title="As the system has it, dark or light">
            Theme: {LABELS[theme]}
          </button>
          {apiKey() ? (
            <button class="quiet" onClick={forget}>
              Forget key
            </button>
          ) : (
            <button class="quiet" onClick={() => askForKey('Enter the key.')}>
              Enter key
            </button>
          )}
        </div>
      </header>
      <main id="content" tabIndex={-1} key={keys}>
        {props.children}
      </main>
      <KeyPrompt onKey={() => setKeys(keys + 1)} />
      <Toasts />
    </>
  );
}

/** Whoever goes to another page with the keyboard goes on from there: the link they followed is gone. */
function useFocusOfPage(): void {
  const path = usePath();
  const before = useRef(path);
  useEffect(() => {
    if (before.current !== path) document.getElementById('content')?.focus({ preventScroll: true });
    before.current = path;
  }, [path]);
}

/** A link inside the interface; opens in place unless the viewer wants another tab. */
export function Link(props: { to: string; class?: string; current?: boolean; children: ComponentChildren }) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(props.to);
  };
  return (
    <a class={props.class} href={props.to} onClick={follow} aria-current={props.current ? 'page' : undefined}>
      {props.children}
    </a>
  );
}

function focusContent(event: Event): void {
  // A plain `#content` would be looked up from <base>.
  event.preventDefault();
  document.getElementById('content')?.focus();
}

function Mark() {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5" />
      <path d="M1.5 8.5h3l1.5-4 2.5 7 2-4.5h4" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" />
    </svg>
  );
}
