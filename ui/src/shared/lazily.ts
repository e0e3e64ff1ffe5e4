// What takes long to make is made when it is first needed: Intl's formats take some milliseconds each.

/** Makes it at the first call, and gives the same at each. */
export function lazily<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
