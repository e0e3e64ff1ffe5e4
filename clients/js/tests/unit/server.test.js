// On a server there is no page: nothing happens, and nothing raises.
import { expect, test, vi } from 'vitest';
import { init } from '../../src/core';

test.each(['of Node', 'that has self, as workers at an edge have'])('a server %s renders with a client that does nothing', async (kind) => {
  if (kind.includes('self')) vi.stubGlobal('self', globalThis);
  const client = init({ dsn: 'k', endpoint: 'https://relay.example' });
  client.captureError(new Error('x'));
  client.counter('x_total');
  client.setUser('u');
  expect(await client.flush()).toBe(true);
  expect(client.stats()).toEqual({ sent: 0, lost: 0, waiting: 0 });
});
