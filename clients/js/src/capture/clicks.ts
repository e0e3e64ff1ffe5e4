// Where a viewer clicks.
import { listen } from './install.js';

/** `seen` gets tag, id and classes; never what an element says, which may be anybody's data. */
export function captureClicks(seen: (element: string) => void): void {
  listen<MouseEvent>(document, 'click', ({ target }) => {
    const { localName, id, classList } = target as Element;
    seen([localName + (id && `#${id}`), ...classList].join('.'));
  });
}
