// One viewer's visit: a tab, until it is closed.
import { randomId } from './random.js';
import { safely } from './safely.js';

const NAME = 'monlight_session_id';

/** The same for all pages of a tab, where its storage is not blocked. */
export function sessionId(): string {
  return safely(() => (sessionStorage[NAME] ||= randomId()) as string)() ?? randomId();
}
