/** Peers that can or may not have links: the server feeds them, and they miss nothing. */
import assert from "node:assert/strict";
import type { BrowserOptions } from "../harness/browser-peer.js";
import { type Stage, scenario } from "../harness/scenario.js";
import type { Subscriber } from "../harness/subscriber.js";

const EVENTS = 300;

/** Links are given up soon and once, so that a test sees it. */
const SOON = { "hub.link_setup_ms": 2_000, "hub.link_tries": 1 };

const TAKES_NO_PART: readonly (readonly [string, BrowserOptions])[] = [
  ["without WebRTC", { before: "delete globalThis.RTCPeerConnection" }],
  ["that is told not to relay", { relay: "never" }],
];

for (const [how, options] of TAKES_NO_PART) {
  scenario(`a browser ${how} is fed by the server and misses nothing`, {}, async (stage) => {
    const root = await stage.native({ name: "root" });
    const browser = await stage.browser(options);
    await stage.stream.run(EVENTS);
    await stage.stream.expectAt(root, browser);
    await isDirect(stage, browser);
    assert.ok(!browser.news.some(({ kind }) => kind === "link_lost"), "no link was tried");
    assert.ok((await browser.stats()).serverBytes > 0);
  });
}

const LINKS_FAIL: readonly (readonly [string, BrowserOptions])[] = [
  [
    "whose RTCPeerConnection throws",
    { before: "globalThis.RTCPeerConnection = class { constructor() { throw new Error('not today') } }" },
  ],
  [
    "that may not use UDP",
    { flags: ["--webrtc-ip-handling-policy=disable_non_proxied_udp"] },
  ],
];

for (const [how, options] of LINKS_FAIL) {
  scenario(`a browser ${how} is fed by the server and misses nothing`, { set: SOON }, async (stage) => {
    const root = await stage.native({ name: "root" });
    const browser = await stage.browser(options);
    // Some while the link is being tried, some after it was given up.
    await stage.stream.run(EVENTS);
    await isDirect(stage, browser);
    await stage.stream.run(EVENTS);
    await stage.stream.expectAt(root, browser);
    assert.equal(browser.parent, undefined);
  });
}

scenario("a native peer that is told not to relay is fed by the server and misses nothing", {}, async (stage) => {
  const root = await stage.browser({ name: "root" });
  const native = await stage.native({ args: ["--no-relay"] });
  await stage.stream.run(EVENTS);
  await stage.stream.expectAt(root, native);
  await isDirect(stage, native);
});

scenario("a native peer that may use TURN only, and has none, is fed by the server and misses nothing", { set: SOON }, async (stage) => {
  const root = await stage.browser({ name: "root" });
  await stage.server.untilFed(root, undefined);
  const native = await stage.native({ args: ["--turn-only"] });
  await stage.stream.run(EVENTS);
  await isDirect(stage, native);
  await stage.stream.run(EVENTS);
  await stage.stream.expectAt(root, native);
});

async function isDirect(stage: Stage, subscriber: Subscriber): Promise<void> {
  await stage.server.untilTree(`${subscriber.name} is fed by the server for good`, (peers) =>
    peers.some(({ peer, place }) => peer === subscriber.peer && place === "direct"),
  );
}
