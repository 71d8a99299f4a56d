import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Card, egressText, hitText, lieText, lostText, parseCard, stallText, stateText, titleOf } from "./card.js";
import { Fields, ShapeError } from "./json.js";

const SAID = {
  number: 3,
  unix_ms: 1_700_000_000_000,
  fault: "kill",
  who: "30%",
  lie: null,
  state: "over",
  what: "kill",
  victims: 7,
  victims_by_tier: { 2: 4, 3: 2, 0: 1 },
  stalls: { hit: 3, hit_ms: { max: 1_360 }, all: 15, all_ms: { max: 1_360.9 } },
  lost: 0,
  server_bytes_per_s: { before: 16_679, busiest: 26_219, after: 19_444 },
  recovered_after_s: 4.5,
  server_away_s: null,
  victims_without_children_after_s: null,
};

function card(rest: Record<string, unknown> = {}): Card {
  return parseCard(new Fields({ ...SAID, ...rest }, ""));
}

/** With ordinary spaces, as tests are to be read. */
function plain(text: string | undefined): string | undefined {
  return text?.replaceAll("\u202f", " ");
}

describe("a card", () => {
  test("says what was done, who was hit, and what it cost", () => {
    const killed = card();
    assert.equal(plain(titleOf(killed)), "Killed 30 % of the peers");
    assert.equal(hitText(killed), "7 peers: 1 without a tier, 4 in tier 2, 2 in tier 3; 3 others fed by way of them.");
    assert.deepEqual([stallText(killed), lostText(killed), egressText(killed)].map(plain), ["1.4 s", "0 events", "17 kB → 26 kB → 19 kB"]);
    assert.equal(stateText(killed), "recovered");
  });

  test("is open until the demo says that it is over", () => {
    const open = card({ state: "recovering", stalls: { ...SAID.stalls, all_ms: { max: 212 } }, lost: 1 });
    assert.equal(stateText(open), "still recovering…");
    assert.deepEqual([stallText(open), lostText(open), egressText(open)].map(plain), ["212 ms", "1 event", "17 kB → 26 kB"]);
    assert.equal(stateText(card({ state: "cut-short" })), "measured until the next one");
  });

  test("names one who was struck", () => {
    const one = { victims: 1, victims_by_tier: { 1: 1 }, stalls: { ...SAID.stalls, hit: 0 } };
    const titles = ["1:relays", "1:tier1", "1:peers", "2"].map((who) => titleOf(card({ who, fault: "freeze" })));
    assert.deepEqual(titles, ["Froze a relay", "Froze a tier-1 peer", "Froze a peer", "Froze 2 peers"]);
    assert.equal(hitText(card(one)), "1 peer in tier 1; no native peer was fed by way of it.");
  });

  test("says what a liar did, and when it was left", () => {
    const liar = card({ fault: "lie", lie: "corrupt", who: "1:relays", victims_without_children_after_s: 4.08 });
    assert.equal(titleOf(liar), "Made a relay lie");
    assert.equal(lieText(liar), "It changes a bit in one message of ten.");
    assert.equal(plain(stateText(liar)), "recovered, without children after 4.1 s");
    assert.equal(lieText(card({ fault: "withhold" })), "It answers pings and passes on no event.");
    assert.equal(lieText(card()), undefined);
  });

  test("of everybody says so", () => {
    const all = { victims: 0, victims_by_tier: {}, who: null };
    const restart = card({ ...all, fault: "restart-server", server_away_s: 0.028 });
    assert.equal(titleOf(restart), "Restarted the server");
    assert.match(hitText(restart), /^All 15 native peers lost their session/);
    assert.equal(plain(stateText(restart)), "recovered, server away for 28 ms");
    assert.match(hitText(card({ ...all, fault: "mesh-off" })), /fed by the server alone/);
    assert.match(hitText(card({ ...all, fault: "mesh-on" })), /may relay again/);
  });

  test("that is none is refused", () => {
    assert.throws(() => card({ fault: "earthquake" }), ShapeError);
    assert.throws(() => card({ victims_by_tier: { 1: "x" } }), /victims_by_tier\.1/);
  });
});
