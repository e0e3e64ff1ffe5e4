// A published EventSource client (https://html.spec.whatwg.org, section 9.2): prints what it gets, a JSON value a line.
// It connects anew by itself, with Last-Event-ID, when the server goes away.
"use strict";

const { EventSource } = require("eventsource");

const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");

const source = new EventSource(process.argv[2]);
source.onopen = () => print("open");
for (const name of ["log", "heartbeat", "close"]) {
  source.addEventListener(name, (event) => print({ event: name, id: event.lastEventId, data: JSON.parse(event.data) }));
}
