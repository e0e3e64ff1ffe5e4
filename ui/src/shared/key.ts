// The API key: kept for the tab, or on this device when the viewer says so. Never in a URL.

/** Interfaces behind one proxy share an origin; the path tells them apart. */
const ITEM = `monlight:key:${new URL(document.baseURI).pathname}`;

let current: string | undefined;

/** The key, empty when none was given yet. */
export function apiKey(): string {
  current ??= read(() => sessionStorage) || read(() => localStorage);
  return current;
}

/** Uses a key from now on; `remember` keeps it on this device. */
export function setApiKey(key: string, remember: boolean): void {
  current = key;
  write(() => sessionStorage, remember ? '' : key);
  write(() => localStorage, remember ? key : '');
}

/** Forgets it everywhere. */
export function forgetApiKey(): void {
  setApiKey('', false);
}

function read(storage: () => Storage): string {
  try {
    return storage().getItem(ITEM) ?? '';
  } catch {
    // Storage can be forbidden: the key then lives as long as the page.
    return '';
  }
}

function write(storage: () => Storage, key: string): void {
  try {
    if (key) storage().setItem(ITEM, key);
    else storage().removeItem(ITEM);
  } catch {
    // As above.
  }
}
