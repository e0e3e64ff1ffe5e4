import { expect, test } from 'vitest';
import { cut, plain } from '../../src/plain';

test('JSON stays what it is', () => {
  const value = { text: 'x', number: 1.5, none: null, yes: true, list: [1, [2]], deep: { a: { b: 'c' } } };
  expect(plain(value)).toEqual(value);
});

test('what is no JSON is said in words', () => {
  expect(plain([undefined, Infinity, 10n, Symbol('s'), new Map(), new Error('no'), /x/])).toEqual([
    null, 'Infinity', '10', 'Symbol(s)', '[object Map]', 'Error: no', '/x/',
  ]);
});

test('a cycle ends, and the same value twice is none', () => {
  const shared = { a: 1 };
  const cyclic = { shared, again: shared };
  cyclic.self = cyclic;
  expect(plain(cyclic)).toEqual({ shared: { a: 1 }, again: { a: 1 }, self: '[circular]' });
});

test('what raises when read does not raise here', () => {
  const hostile = { good: 1, get bad() { throw new Error('no'); } };
  expect(plain(hostile)).toEqual({ good: 1, bad: '[unreadable]' });
  expect(plain(new Proxy({}, { ownKeys() { throw new Error('no'); } }))).toBe('[unreadable]');
  expect(plain({ toString() { throw new Error('no'); }, [Symbol.toStringTag]: 'Odd' })).toBe('[no text]');
});

test('depth, width and length are bounded', () => {
  const deep = {};
  let at = deep;
  for (let depth = 0; depth < 10_000; depth++) at = at.next = {};
  expect(JSON.stringify(plain(deep)).length).toBeLessThan(200);
  const wide = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`key${n}`, [n, n]]));
  expect(JSON.stringify(plain(wide)).length).toBeLessThan(10_000);
  expect(plain('x'.repeat(10_000_000)).length).toBe(1_001);
});

test('half of a pair is no text', () => {
  expect(cut('a\ud800b\udc00 \ud83d\ude00', 100)).toBe('a\ufffdb\ufffd \ud83d\ude00');
  // The cut itself may go through a pair.
  expect(cut('ab\ud83d\ude00', 3)).toBe('ab\ufffd…');
});
