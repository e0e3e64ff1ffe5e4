// An application that crashes: inside a callback of a library, below a method, below an async function, and in eval.
import * as lodash from "lodash-es";

class Cart {
  constructor(items) {
    this.items = items;
  }

  total() {
    return lodash.sumBy(this.items, (item) => item.price.amount);
  }
}

const checkout = (cart) => ({ total: cart.total() });

async function pay(items) {
  await Promise.resolve();
  return checkout(new Cart(items)).total;
}

globalThis.crash = async () => {
  try {
    await pay([{ price: { amount: 1 } }, {}]);
  } catch (error) {
    return error.stack;
  }
};

globalThis.crashInEval = () => {
  try {
    const run = (text) => (0, eval)(text);
    globalThis.thrower = () => new Cart([{}]).total();
    run("thrower()");
  } catch (error) {
    return error.stack;
  }
};
