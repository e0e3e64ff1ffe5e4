// Nobody waits for this promise.
console.error(new Error('caught and shown'));
console.error('between');
Promise.reject({ answer: 42 });
