// What is shown lives in the URL, so that a link shows the same.
import { useCallback, useLayoutEffect, useState } from 'preact/hooks';
import { pathBelow, rootOfPage } from './root';

/** The query of the page's address, and a way to change it: an empty value removes a parameter. */
export function useQuery(): [URLSearchParams, (changes: Record<string, string | undefined>, replace?: boolean) => void] {
  const [search, setSearch] = useState(location.search);
  // Before the first frame: whoever clicks at once is followed.
  useLayoutEffect(() => {
    const follow = () => setSearch(location.search);
    addEventListener('popstate', follow);
    addEventListener(MOVED, follow);
    return () => {
      removeEventListener('popstate', follow);
      removeEventListener(MOVED, follow);
    };
  }, []);
  const change = useCallback((changes: Record<string, string | undefined>, replace = false) => {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const text = query.toString();
    go(location.pathname + (text && `?${text}`), replace);
  }, []);
  return [new URLSearchParams(search), change];
}

/** The path below the page's root, such as `errors/12`. */
export function usePath(): string {
  const [path, setPath] = useState(pathBelow);
  useLayoutEffect(() => {
    const follow = () => setPath(pathBelow());
    addEventListener('popstate', follow);
    addEventListener(MOVED, follow);
    return () => {
      removeEventListener('popstate', follow);
      removeEventListener(MOVED, follow);
    };
  }, []);
  return path;
}

/** Shows another address of this interface without loading the page anew. Relative ones start at its root. */
export function go(address: string, replace = false): void {
  const url = new URL(address, rootOfPage).href;
  if (url === location.href) return;
  const path = location.pathname;
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  dispatchEvent(new Event(MOVED));
  // Another page begins at its top.
  if (location.pathname !== path) scrollTo(0, 0);
}

const MOVED = 'monlight:moved';
