// Numbers that look random and are the same in every run.

let state = 20260120;

/** A whole number from 0, below `end`. */
export function random(end) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * end);
}
