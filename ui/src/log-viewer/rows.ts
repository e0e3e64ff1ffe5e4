// The entries on the page, the newest first, and where each stands.
import type { Entry } from './model';

/** More is more than anybody scrolls through, and a hundred megabytes. */
export const ROWS_MAX = 100_000;
/** A closed row; style.css has the same. */
export const ROW_HEIGHT = 24;

/** Entries with their heights. Changed in place: a list of this size is not copied for each line that arrives. */
export class Rows {
  entries: Entry[] = [];
  readonly open = new Set<number>();
  /** The highest id there is: entries have rising ids, so what a live tail sends up to it is here, or older than what is. */
  newestId = 0;
  private heights = new Map<number, number>();
  private tops: Float64Array | undefined;

  /** Shows other entries, all closed. */
  replace(entries: Entry[]): void {
    this.entries = entries;
    this.newestId = highestId(entries);
    this.open.clear();
    this.relayout();
  }

  /** Puts newer entries on top, and returns how much higher the list became. */
  prepend(newest: Entry[]): number {
    this.entries = newest.concat(this.entries);
    this.newestId = Math.max(this.newestId, highestId(newest));
    this.trim();
    return newest.reduce((sum, entry) => sum + this.heightOf(entry), 0);
  }

  /** Puts older entries at the end. False when there is no room for more. */
  append(older: Entry[]): boolean {
    const known = new Set(this.entries.slice(-older.length - 1).map(({ id }) => id));
    for (const entry of older) if (!known.has(entry.id)) this.entries.push(entry);
    this.trim();
    return this.entries.length < ROWS_MAX;
  }

  /** Notes how high a row turned out to be, and returns by how much that differs. */
  measure(entry: Entry, height: number): number {
    const before = this.heightOf(entry);
    if (height === before) return 0;
    if (height === ROW_HEIGHT) this.heights.delete(entry.id);
    else this.heights.set(entry.id, height);
    this.tops = undefined;
    return height - before;
  }

  /** Opens or closes a row. */
  toggle(entry: Entry): void {
    if (!this.open.delete(entry.id)) this.open.add(entry.id);
    else this.heights.delete(entry.id);
    this.tops = undefined;
  }

  /** Forgets all heights: the rows are shown in another way. */
  relayout(): void {
    this.heights.clear();
    this.tops = undefined;
  }

  /** Where a row begins; of the one behind the last, the height of all. */
  top(index: number): number {
    if (!this.tops) {
      this.tops = new Float64Array(this.entries.length + 1);
      this.entries.forEach((entry, at) => {
        this.tops![at + 1] = this.tops![at]! + this.heightOf(entry);
      });
    }
    return this.tops[Math.min(index, this.entries.length)] ?? 0;
  }

  /** The row at this height. */
  at(y: number): number {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.top(middle + 1) <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private heightOf(entry: Entry): number {
    return this.heights.get(entry.id) ?? ROW_HEIGHT;
  }

  private trim(): void {
    for (const entry of this.entries.splice(ROWS_MAX)) {
      this.heights.delete(entry.id);
      this.open.delete(entry.id);
    }
    this.tops = undefined;
  }
}

function highestId(entries: readonly Entry[]): number {
  return entries.reduce((most, { id }) => Math.max(most, id), 0);
}
