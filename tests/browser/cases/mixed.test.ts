/** Chromium, Firefox and native peers in one mesh, each in tier 1, in the middle and as a leaf. */
import assert from "node:assert/strict";
import { type Stage, scenario } from "../harness/scenario.js";
import type { Subscriber } from "../harness/subscriber.js";

type Kind = "chromium" | "firefox" | "native";

/** From tier 1 down. Each link there is, between two kinds and either way, is in one of them. */
const CHAINS: readonly (readonly Kind[])[] = [
  ["firefox", "chromium", "native", "firefox"],
  ["chromium", "firefox", "native"],
  ["native", "firefox", "firefox", "chromium"],
];

for (const chain of CHAINS) {
  scenario(`${chain.join(" to ")}: what arrives at the end is what was published`, {}, async (stage) => {
    const peers: Subscriber[] = [];
    for (const kind of chain) peers.push(await below(stage, kind, peers.at(-1)));
    await stage.stream.run(500);
    await stage.stream.expectAt(...peers);
    assert.deepEqual(
      peers.flatMap(({ faults }) => faults),
      [],
    );
  });
}

/** Starts one that relays to one, below `parent`, or in tier 1. */
async function below(stage: Stage, kind: Kind, parent: Subscriber | undefined): Promise<Subscriber> {
  const options = { name: kind, maxChildren: 1 };
  const peer = kind === "native" ? await stage.native(options) : await stage.browser({ ...options, engine: kind });
  if (parent === undefined) await stage.server.untilFed(peer, undefined);
  else await peer.fedBy(parent);
  return peer;
}
