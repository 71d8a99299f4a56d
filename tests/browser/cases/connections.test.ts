/** The connections of a page: bounded, and all of them closed in the end, however many there have been. */
import assert from "node:assert/strict";
import { ask } from "../harness/changing.js";
import { scenario } from "../harness/scenario.js";

/** Keeps every connection that the page makes. */
const KEEP = `
  globalThis.kept = [];
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...settings) {
      super(...settings);
      kept.push(this);
    }
  };`;

for (const engine of ["chromium", "firefox"] as const) {
  scenario(`a page in ${engine} whose children come and go has few connections, and closes every one`, {}, async (stage) => {
    const relay = await stage.browser({ engine, name: "relay", maxChildren: 4, maxConnections: 7, before: KEEP });
    await stage.server.untilFed(relay, undefined);
    const rounds = 6;
    for (let round = 0; round < rounds; round++) {
      const starts = [0, 1, 2, 3].map((number) => stage.native({ name: `child ${round}.${number}`, maxChildren: 0 }));
      for (const child of await Promise.all(starts)) {
        await child.fedBy(relay);
        await child.kill();
      }
      await ask("the page has no connection any more", async () => (await relay.stats()).connections === 0);
    }
    const stats = await relay.stats();
    assert.ok(stats.connectionsOpened >= 4 * rounds, `${stats.connectionsOpened}`);
    const states = await relay.page.evaluate("kept.map(({ connectionState }) => connectionState)");
    assert.deepEqual(states, Array(stats.connectionsOpened).fill("closed"));
  });
}
