// The page must not notice us: what fails here is said in debug mode, and goes no further.

/** Where it is said; nowhere unless debug mode puts a function here. */
export const debug: { log?: (...what: unknown[]) => void } = {};

/** The same function, that returns undefined instead of raising. */
export function safely<A extends unknown[], R>(work: (...given: A) => R): (...given: A) => R | undefined {
  return (...given) => {
    try {
      return work(...given);
    } catch (error) {
      debug.log?.('failed:', error);
      return undefined;
    }
  };
}
