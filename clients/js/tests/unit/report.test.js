import { expect, test } from 'vitest';
import { bodyOf, callerOf, described } from '../../src/report';

const report = (more) => ({
  type: 'Error', message: 'm', stack: 's', url: 'u', user_agent: 'a', session_id: 'i', context: {}, timestamp: 't', ...more,
});

test('errors are described by name, message and stack', () => {
  const error = new TypeError('no x');
  expect(described(error, 'Error')).toEqual({ type: 'TypeError', message: 'no x', stack: error.stack });
  class OrderError extends Error { name = 'OrderError'; }
  expect(described(new OrderError('late'), 'Error').type).toBe('OrderError');
});

test('what is no error has the fallback as its type, and no stack', () => {
  expect(described('text', 'UnhandledRejection')).toEqual({ type: 'UnhandledRejection', message: 'text', stack: '' });
  expect(described({ code: 7 }, 'Error')).toEqual({ type: 'Error', message: '{"code":7}', stack: '' });
  expect(described(undefined, 'Error').message).toBe('undefined');
  expect(described(null, 'Error').message).toBe('null');
});

test('errors that raise when read are reported all the same', () => {
  const error = new Error('x');
  Object.defineProperty(error, 'message', { get() { throw new Error('no'); } });
  expect(described(error, 'Error').type).toBe('Error');
  const odd = new Error('x');
  odd.message = { toString() { throw new Error('no'); } };
  expect(described(odd, 'Error').message).toContain('[no text]');
});

test('what may not even be looked at is reported', () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  expect(described(proxy, 'Error')).toEqual({ type: 'Error', message: '"[unreadable]"', stack: '' });
});

test('a caller is what is below our own frame, in the words of each browser', () => {
  expect(callerOf({ stack: 'Error\n    at console.error (https://a.b/monlight.min.js:1:9)\n    at pay (https://a.b/app.js:7:3)' })).toBe(
    'Error\n    at pay (https://a.b/app.js:7:3)',
  );
  expect(callerOf({ stack: 'wrapped@https://a.b/monlight.min.js:1:9\npay@https://a.b/app.js:7:3\n' })).toBe('pay@https://a.b/app.js:7:3\n');
  expect(callerOf({})).toBe('');
});

test('a body always fits', () => {
  const huge = '\u4e2d'.repeat(10_000_000);
  for (const more of [{ stack: huge, message: described(huge, '').message }, { context: { user_id: 'u', list: Array(300).fill(huge) } }, { url: huge }]) {
    const body = bodyOf(report(more));
    expect(new TextEncoder().encode(body).length).toBeLessThan(60_000);
    expect(JSON.parse(body)).toMatchObject({ type: 'Error', timestamp: 't' });
  }
  expect(JSON.parse(bodyOf(report({ context: { user_id: 'u', list: Array(300).fill(huge) } }))).context).toEqual({ user_id: 'u', is_cut: true });
});
