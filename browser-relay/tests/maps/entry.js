// What the bundlers of build.js bundle: real packages with real names, classes, closures and long chains of modules.
import * as lodash from "lodash-es";
import { h, render, Component } from "preact";
import * as z from "zod";

class App extends Component {
  render() {
    const schema = z.object({ name: z.string(), tags: z.array(z.number()) });
    return h("pre", null, JSON.stringify(schema.safeParse(lodash.merge({}, this.props)).success));
  }
}

render(h(App, { name: "a", tags: [1] }), globalThis.document?.body);
