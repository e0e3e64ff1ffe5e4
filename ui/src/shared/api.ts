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
  return (await (await request(address(path, params), { method: 'GET' }, signal)).json()) as T;
}

/** Sends JSON with `POST` (or another method) and reads the JSON that comes back. */
export async function send<T>(path: string, body: unknown, method = 'POST'): Promise<T> {
  const init = { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  return (await (await request(address(path), init)).json()) as T;
}

/** The answer as it streams in. */
export async function stream(path: string, params: Params, signal: AbortSignal, headers: Record<string, string> = {}) {
  return request(address(path, params), { method: 'GET', headers }, signal);
}

async function request(url: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
  let response;
  try {
    response = await fetch(url, {
      ...init,
      headers: { ...init.headers, 'X-API-Key': apiKey() },
      cache: 'no-store',
      credentials: 'same-origin',
      ...(signal ? { signal } : {}),
    });
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
