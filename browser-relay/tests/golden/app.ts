// What the stacks of this folder come from. app.min.js and its map were made of it by
//   esbuild app.ts --minify --sourcemap=external --outfile=app.min.js --format=iife --global-name=app

class Basket {
  readonly items: number[];

  constructor(items: unknown) {
    if (!Array.isArray(items)) {
      throw new TypeError("items is no list");
    }
    this.items = items;
  }

  total(): number {
    return this.items.map((item) => checked(item)).reduce((sum, item) => sum + item, 0);
  }

  static parse = (text: string) => new Basket(JSON.parse(text));
}

function checked(item: number): number {
  if (item < 0) {
    throw new RangeError(`an item costs\n  at least nothing, not ${item}`);
  }
  return item;
}

async function load(text: string): Promise<number> {
  const basket = await Promise.resolve(text).then(Basket.parse);
  await null;
  return basket.total();
}

export async function loadAll(texts: string[]): Promise<number[]> {
  const totals: number[] = [];
  for (const text of texts) {
    totals.push(await load(text));
  }
  return totals;
}

export function construct() {
  return Basket.parse("{}");
}

export function evaluate() {
  const inner = () => construct();
  return new Function("inner", "return eval('inner()')")(inner);
}

export const api = { ["sum-up"]: (items: number[]) => new Basket(items).total() };

export const aliased = { add: construct };

export function later(done: (error: unknown) => void) {
  setTimeout(() => {
    try {
      api["sum-up"]([1, -1]);
    } catch (error) {
      done(error);
    }
  });
}
