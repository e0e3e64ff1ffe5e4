// Where the interface is mounted.

/** `<base>` is relative to the address the page was loaded from, so it is read once. */
export const rootOfPage = document.baseURI;

/** The path below the root, such as `errors/12`. */
export function pathBelow(): string {
  return location.pathname.slice(new URL(rootOfPage).pathname.length);
}
