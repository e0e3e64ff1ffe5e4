// For a script tag: starts by itself with `window.MonlightConfig`, and puts the client at `window.Monlight`.
import { type Monlight, type MonlightConfig, init } from './core';

declare global {
  interface Window {
    MonlightConfig?: MonlightConfig;
    /** The client once started; before that, what starts it. */
    Monlight?: Monlight | { init: typeof init };
  }
}

window.Monlight = window.MonlightConfig ? init(window.MonlightConfig) : { init: (config) => (window.Monlight = init(config)) };
