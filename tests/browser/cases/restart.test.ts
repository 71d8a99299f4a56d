/** A server that goes and comes back: everybody returns by itself, with one explicit gap, as the numbering is new. */
import assert from "node:assert/strict";
import { scenario } from "../harness/scenario.js";
import { expectAcrossEpochs } from "../harness/stream.js";

const BEFORE = 100;
const WHILE_AWAY = 20;
const AFTER = 100;

const LINK_FAILED = 3102;

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  scenario(`peers return by themselves to a server that ended with ${signal}`, {}, async (stage) => {
    const { server, stream } = stage;
    // Whoever comes back first is tier 1, so each of them must be able to have a child.
    const root = await stage.native({ name: "root", maxChildren: 1 });
    const relay = await stage.browser({ name: "upper browser", maxChildren: 2 });
    await relay.fedBy(root);
    const leaf = await stage.native({ name: "lower native peer", maxChildren: 1 });
    await leaf.fedBy(relay);
    const page = await stage.browser({ name: "lower browser", maxChildren: 1 });
    await page.fedBy(relay);
    const direct = await stage.browser({ name: "browser that does not relay", relay: "never" });
    const everybody = [root, relay, leaf, page, direct];

    await stream.run(BEFORE);
    await stream.expectAt(...everybody);
    await server.stop(signal);
    await server.startAgain();
    // Some of these are published before anybody is back.
    await stream.run(WHILE_AWAY);
    for (const peer of everybody) await peer.subscribed(2);
    await stream.run(AFTER);

    for (const peer of everybody) await expectAcrossEpochs(peer, stream.published, BEFORE);
    await server.untilTree("everybody has a place again", (peers) => {
      // The new server has another key: nobody may take what the old one signed for a forgery of an honest parent,
      // and refuse that parent for a minute.
      for (const peer of everybody) assert.deepEqual(peer.faults, [], `${peer.name} accuses nobody`);
      return (
        peers.length === everybody.length &&
        peers.every(({ place, node }) => place === (node === null ? "direct" : place === "root" ? "root" : "child"))
      );
    });
    for (const peer of everybody) assert.ok(!peer.linkCodes.includes(LINK_FAILED), `${peer.name} could set up its links`);
    if (signal === "SIGTERM") {
      for (const peer of everybody) {
        const reasons = peer.news.flatMap((news) => (news.kind === "disconnected" ? [news.reason] : []));
        assert.match(reasons[0] ?? "", /\b3000\b/, `${peer.name} was told that the server shuts down`);
      }
    }
  });
}
