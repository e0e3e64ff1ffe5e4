// How everything here puts itself in place.
import { safely } from '../safely.js';

/** Replaces a function of the page, where there is one. */
export function replace<T extends object, K extends keyof T>(target: T, name: K, wrap: (original: T[K]) => T[K]): void {
  safely(() => {
    if (target[name]) target[name] = wrap(target[name]);
  })();
}

/** Listens before the page does. */
export function listen<E extends Event>(target: EventTarget, type: string, work: (event: E) => void): void {
  safely(() => target.addEventListener(type, safely(work) as (event: Event) => void, true))();
}
