// The page must not notice us: what fails here is said in debug mode, and goes no further.

/** Where it is said; nowhere unless debug mode puts a function here. */
export const debug: { log?: (...what: unknown[]) => void } = {};

/** The same function, that returns undefined instead of raising; `failed` gets what it raised. */
export function safely<A extends unknown[], R>(
  work: (...given: A) => R,
  failed: (error: unknown) => void = (error) => debug.log?.('failed:', error),
): (...given: A) => R | undefined {
  return (...given) => {
    try {
      return work(...given);
    } catch (error) {
      failed(error);
      return undefined;
    }
  };
}
