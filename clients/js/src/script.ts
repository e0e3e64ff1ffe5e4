// For a script tag: starts by itself with `window.MonlightConfig`, and puts the client at `window.Monlight`.
import { type Monlight, type MonlightConfig, init } from './core.js';

declare global {
  interface Window {
    MonlightConfig?: MonlightConfig;
    /** What starts the client, and once that is done the client too. */
    Monlight?: Partial<Monlight> & { init: typeof init };
  }
}

const start = (config: MonlightConfig) => {
  const client = init(config);
  window.Monlight = Object.assign(client, { init: start });
  return client;
};

if (window.MonlightConfig) start(window.MonlightConfig);
// A second copy leaves what the first one has started.
else window.Monlight ??= { init: start };
