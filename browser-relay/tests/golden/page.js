// Makes the functions of app.ts throw, and keeps the stacks.

const stack = (work) => Promise.resolve().then(work).then(String, (error) => error.stack);
globalThis.stacks = Promise.all([
  stack(() => app.construct()),
  stack(() => app.aliased.add()),
  stack(() => app.evaluate()),
  stack(() => app.loadAll(["[1]", "[-1]"])),
  stack(() => new Promise((_, reject) => app.later(reject))),
]);
