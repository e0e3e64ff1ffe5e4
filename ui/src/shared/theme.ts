// Dark or light: the system's, unless the viewer chose.

export type Theme = 'system' | 'light' | 'dark';

const ITEM = 'monlight:theme';

/** What the viewer chose on this device. */
export function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(ITEM);
    return stored === 'light' || stored === 'dark' ? stored : 'system';
  } catch {
    // Storage can be forbidden; the system's theme needs none.
    return 'system';
  }
}

/** Remembers and shows a choice. */
export function chooseTheme(theme: Theme): void {
  applyTheme(theme);
  try {
    if (theme === 'system') localStorage.removeItem(ITEM);
    else localStorage.setItem(ITEM, theme);
  } catch {
    // It holds for this page then.
  }
}

/** Shows it: the style sheet reads `data-theme`. */
export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
