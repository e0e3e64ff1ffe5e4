// What is thrown need not be an error, and the line that throws need not be indented.
console.error('starting');
throw 'a text';
