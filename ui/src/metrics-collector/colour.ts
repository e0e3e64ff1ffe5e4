// Colours of the style sheet for a canvas, which knows no custom properties.

const resolved = new Map<string, string>();
const followers = new Set<() => void>();

/** `--name` as the theme has it. */
export function colour(name: string): string {
  let value = resolved.get(name);
  if (value === undefined) {
    const probe = document.createElement('span');
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    value = getComputedStyle(probe).color;
    probe.remove();
    resolved.set(name, value);
  }
  return value;
}

/** Calls back when colours are others; gives a way to end that. */
export function onThemeChange(follow: () => void): () => void {
  followers.add(follow);
  return () => followers.delete(follow);
}

function changed(): void {
  resolved.clear();
  for (const follow of followers) follow();
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
new MutationObserver(changed).observe(document.documentElement, { attributeFilter: ['data-theme'] });
