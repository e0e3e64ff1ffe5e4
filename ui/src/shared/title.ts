// What a tab is called.
import { useEffect } from 'preact/hooks';

const SERVICE = document.title;

/** Names the page before its service, such as "KeyError · Errors · Monlight", as long as it is shown. */
export function useTitle(page: string | undefined): void {
  useEffect(() => {
    if (!page) return undefined;
    document.title = `${page} · ${SERVICE}`;
    return () => {
      document.title = SERVICE;
    };
  }, [page]);
}
