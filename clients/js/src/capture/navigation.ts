// Where an application goes without loading a page.
import { listen, replace } from './install';

/** `seen` gets the path, without query and fragment. */
export function captureNavigation(seen: (path: string) => void): void {
  let path = location.pathname;
  const look = () => {
    if (location.pathname !== path) seen((path = location.pathname));
  };
  for (const name of ['pushState', 'replaceState'] as const) {
    replace(history, name, (original) => (...given) => {
      original.apply(history, given);
      look();
    });
  }
  listen(globalThis, 'popstate', look);
}
