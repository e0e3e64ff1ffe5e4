import { expect, test } from 'vitest';
import { repeats } from '../../src/repeats';

const what = (message, frame = 'at a (a.js:1:1)') => ({ type: 'E', message, stack: `E: ${message}\n    ${frame}\n    at b (b.js:${Math.random()}:1)` });

test('the same type, message and first frame count once a minute', () => {
  const isRepeat = repeats();
  expect(isRepeat(what('x'), 1_000)).toBe(false);
  expect(isRepeat(what('x'), 60_999)).toBe(true);
  expect(isRepeat(what('x'), 61_000)).toBe(false);
  expect(isRepeat(what('y'), 61_000)).toBe(false);
  expect(isRepeat(what('x', 'at c (c.js:1:1)'), 61_000)).toBe(false);
});

test('a message with lines that look like frames hides none', () => {
  const isRepeat = repeats();
  expect(isRepeat(what('failed at x:1\nand y:2'), 1)).toBe(false);
  expect(isRepeat(what('failed at x:1\nand y:2', 'at c (c.js:1:1)'), 1)).toBe(false);
});

test('fifty are remembered, the newest', () => {
  const isRepeat = repeats();
  for (let n = 0; n < 60; n++) isRepeat(what(`m${n}`), 1_000);
  expect(isRepeat(what('m59'), 1_001)).toBe(true);
  expect(isRepeat(what('m10'), 1_001)).toBe(true);
  expect(isRepeat(what('m9'), 1_001)).toBe(false);
});
