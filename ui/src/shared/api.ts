// Requests to the service this page came from. What goes wrong is said in words.
import { apiKey } from './key';

/** Why there is no answer. */
export type Trouble =
  | { kind: 'key'; message: string }
  | { kind: 'limit'; message: string; seconds: number }
  | { kind: 'away'; message: string }
  | { kind: 'refused'; message: string; status: number };

/** A request that came to nothing. */
export class RequestError extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.message);
  }
}

export type Params = Record<string, string | number | boolean | undefined>;

/** An address of the service with these parameters; empty ones are left out. */
export function address(path: string, params: Params = {}): string {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') url.searchParams.set(name, String(value));
  }
  return url.href;
}

/** `GET`s JSON. */
export async function get<T>(path: string, params?: Params, signal?: AbortSignal): Promise<T> {
  return jsonOf<T>(await request(address(path, params), { method: 'GET' }, signal));
}

declare global {
  // A page's two scripts share nothing else.
  var monlightBegun: { at: number; answers: Map<string, Promise<Response>> } | undefined;
}

/** Says that the page asks from now on, before any range of time is told from it. */
export function openBegun(): void {
  globalThis.monlightBegun = { at: Date.now(), answers: new Map() };
}

/** Begins a `GET` of a page whose script is still loading; what it asks for first finds the answer. Nothing without a key. */
export function begin(path: string, params?: Params): void {
  if (!apiKey()) return;
  const url = address(path, params);
  const answer = fetch(url, authorised({ method: 'GET' })).then(async (response) => {
    // Read to its end, and given out without a turn of the event loop: the first thing drawn can have it.
    const text = await response.text();
    return Object.assign(response, { json: async () => JSON.parse(text) as unknown });
  });
  // Whoever takes it is told what went wrong.
  answer.catch(() => undefined);
  globalThis.monlightBegun?.answers.set(url, answer);
}

/** When the page asks: what was begun has its ranges of time from then, and would not be found by those of a second later. */
export function askedAt(): number {
  return globalThis.monlightBegun?.at ?? Date.now();
}

/** Waits until what was begun is there, or for so long. */
export async function begunIsThere(milliseconds: number): Promise<void> {
  const all = Promise.allSettled(globalThis.monlightBegun?.answers.values() ?? []);
  await Promise.race([all, new Promise((resolve) => setTimeout(resolve, milliseconds))]);
}

/** What was begun and not asked for is old by the next question. */
export function forgetBegun(): void {
  globalThis.monlightBegun = undefined;
}

/** Sends JSON with `POST` (or another method) and reads the JSON that comes back. */
export async function send<T>(path: string, body: unknown, method = 'POST'): Promise<T> {
  const init = { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  return jsonOf<T>(await request(address(path), init));
}

/** The answer as it streams in. */
export async function stream(path: string, params: Params, signal?: AbortSignal, headers: Record<string, string> = {}) {
  return request(address(path, params), { method: 'GET', headers }, signal);
}

/** What an answer says, read to its end. */
async function jsonOf<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw new RequestError({ kind: 'away', message: 'The answer broke off.' });
    const message = 'Something else answers in the place of the service: this is no JSON.';
    throw new RequestError({ kind: 'refused', message, status: response.status });
  }
}

/** What goes with every request. */
function authorised(init: RequestInit): RequestInit {
  return { ...init, headers: { ...init.headers, 'X-API-Key': apiKey() }, cache: 'no-store', credentials: 'same-origin' };
}

/** An answer that was asked for already; each is taken once. */
function takeBegun(url: string): Promise<Response> | undefined {
  const answer = globalThis.monlightBegun?.answers.get(url);
  globalThis.monlightBegun?.answers.delete(url);
  return answer;
}

async function request(url: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
  let response;
  try {
    response = await (takeBegun(url) ?? fetch(url, { ...authorised(init), ...(signal ? { signal } : {}) }));
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RequestError({ kind: 'away', message: 'The server cannot be reached.' });
  }
  if (!response.ok) throw new RequestError(await troubleOf(response));
  return response;
}

async function troubleOf(response: Response): Promise<Trouble> {
  const detail = await detailOf(response);
  switch (response.status) {
    case 401:
      return { kind: 'key', message: apiKey() ? 'This key is not right.' : 'A key is needed.' };
    case 429: {
      const seconds = Math.max(1, Number(response.headers.get('Retry-After')) || 1);
      return { kind: 'limit', message: 'Too many requests.', seconds };
    }
    case 502:
    case 503:
    case 504:
      return { kind: 'away', message: detail || 'The server is busy or starting.' };
    default:
      return { kind: 'refused', message: detail || `The server answered ${response.status}.`, status: response.status };
  }
}

/** What the service says is wrong. */
async function detailOf(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { detail?: unknown; error?: unknown };
    return String(body.detail ?? body.error ?? '');
  } catch {
    // A proxy's page has no such field.
    return '';
  }
}

/** What to tell the viewer of anything that was thrown. */
export function troubleFrom(error: unknown): Trouble {
  if (error instanceof RequestError) return error.trouble;
  return { kind: 'refused', message: String(error), status: 0 };
}
