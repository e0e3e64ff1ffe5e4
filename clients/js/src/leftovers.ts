// Requests that a page could not send before it ended, for the next one of the same site.
import { randomId } from './random.js';
import { safely } from './safely.js';

/** A request that waits. */
export interface Parcel {
  path: 'errors' | 'metrics';
  /** Sent with every try, so that the relay counts it once. */
  id: string;
  /** Errors or values in it. */
  count: number;
  body: string;
  /** When it was made, in milliseconds. */
  at: number;
}

export interface Leftovers {
  /** Everything that pages before this one left. */
  take: () => Parcel[];
  /** Replaces what this page has left. */
  keep: (parcels: readonly Parcel[]) => void;
}

/** Characters of one page's leftovers: an application needs the storage more than we do. */
const KEPT_MAX = 100_000;
/** Older ones are of no use: the services take metrics of the last hour, and after a day an error is known or gone. */
const AGE_MAX_MS = { metrics: 3_600_000, errors: 86_400_000 };

/** In a storage that may be blocked, full or written to by others: then nothing is kept. */
export function leftovers(dsn: string): Leftovers {
  const prefix = `monlight:${dsn}:`;
  const own = prefix + randomId();
  const parcelsOf = safely((name: string) => {
    const parcels = JSON.parse(localStorage[name] as string) as Parcel[];
    return parcels.filter(({ path, at }) => Date.now() - at < AGE_MAX_MS[path]);
  });
  const keep = (parcels: readonly Parcel[]) => {
    const text = JSON.stringify(parcels);
    // The oldest have to make room.
    if (text.length > KEPT_MAX) keep(parcels.slice(1));
    else if (parcels.length > 0) localStorage[own] = text;
    else localStorage.removeItem(own);
  };
  return {
    take: () =>
      safely(() =>
        Object.keys(localStorage)
          .filter((name) => name.startsWith(prefix))
          .flatMap((name) => {
            const parcels = parcelsOf(name) ?? [];
            // Two pages may take the same: the relay counts them once.
            localStorage.removeItem(name);
            return parcels;
          }),
      )() ?? [],
    keep: safely(keep),
  };
}
