// The message of this error has several lines.
const assert = require('node:assert');
console.log('server on :3000');
assert.strictEqual(1, 2);
