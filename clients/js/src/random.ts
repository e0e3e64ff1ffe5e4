// Identifiers.

/** A UUID v4; `crypto.randomUUID` is missing where a page is not served safely. */
export function randomId(): string {
  return 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replace(/x/g, () => ((Math.random() * 16) | 0).toString(16));
}
