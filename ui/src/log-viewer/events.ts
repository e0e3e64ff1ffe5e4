// Server-sent events read from a response, so that the key can travel as a header.

export interface ServerEvent {
  name: string;
  data: string;
  id: string;
}

/** A line of an event that is longer than any that log-viewer sends breaks the stream instead of the memory. */
const BUFFER_MAX = 4 << 20;

/** The events of a stream as they arrive (HTML standard, section 9.2). */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent[]> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let buffer = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      buffer += value;
      if (buffer.length > BUFFER_MAX) throw new Error('an event is too long');
      const end = buffer.lastIndexOf('\n\n');
      if (end < 0) continue;
      yield buffer.slice(0, end).split('\n\n').map(eventOf);
      buffer = buffer.slice(end + 2);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function eventOf(block: string): ServerEvent {
  const event: ServerEvent = { name: 'message', data: '', id: '' };
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event.name = value;
    else if (field === 'id') event.id = value;
    else if (field === 'data') event.data += event.data ? `\n${value}` : value;
  }
  return event;
}
