// Dies of an error with a cause and further properties.
console.error('starting');
function read() {
  const error = new Error('boom', { cause: new TypeError('inner') });
  error.code = 'E_BOOM';
  throw error;
}
read();
