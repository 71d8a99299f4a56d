/** Those who send what they may not: they are sent away with a code, and nobody else notices. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { HELLO, type RawMessage, closeCodeOf, handshake, map, rawSession } from "../harness/raw-session.js";
import { scenario } from "../harness/scenario.js";

const MALFORMED = 3500;
const BAD_SIGNATURE = 3501;
const UNSUPPORTED_VERSION = 3502;
const UNEXPECTED = 3503;
/** What a browser says of a connection that the server did not take. */
const NOT_OPENED = 1006;

const CONTROL_BYTES_MAX = 64 << 10;

const BAD_SESSIONS: readonly (readonly [string, readonly RawMessage[], number])[] = [
  ["text", ["hello"], MALFORMED],
  ["JSON as text", ['{"type":"hello","id":1,"protocol":1,"client":"x"}'], MALFORMED],
  ["random bytes", [[...randomBytes(1_000)].with(0, 0xc1)], MALFORMED],
  ["an empty message", [[]], MALFORMED],
  ["a map that is cut off", [HELLO.slice(0, 20)], MALFORMED],
  ["a map without a type", [map({ id: 1 })], MALFORMED],
  ["a map that claims 65,535 entries", [[0xde, 0xff, 0xff]], MALFORMED],
  ["what looks like a frame", [[0x01, 0x01, ...randomBytes(200)]], MALFORMED],
  ["a message that is too large", [Array<number>(CONTROL_BYTES_MAX + 1).fill(0x80)], MALFORMED],
  ["garbage after a good beginning", [HELLO, [...randomBytes(500)].with(0, 0xc1)], MALFORMED],
  ["text after a good beginning", [HELLO, "more"], MALFORMED],
  ["a version of the future", [map({ type: "hello", id: 1, protocol: 99, client: "x" })], UNSUPPORTED_VERSION],
  ["a subscription without hello", [map({ type: "subscribe", id: 1, channel: "builds", window_bytes: 1 })], UNEXPECTED],
  ["hello twice", [HELLO, HELLO], UNEXPECTED],
];

scenario("garbage from a page is answered with a close code, and nobody else is affected", {}, async (stage) => {
  const { server, stream } = stage;
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.browser({ name: "browser relay", maxChildren: 1, relay: "always" });
  await relay.fedBy(root);
  const leaf = await stage.native({ name: "leaf", maxChildren: 0 });
  await leaf.fedBy(relay);
  // The page with the bad manners is in the same browser as a good one.
  const page = await relay.browser.newPage();
  await page.goto(stage.pageUrl);

  for (const [what, messages, code] of BAD_SESSIONS) {
    await stream.run(5);
    const ending = await rawSession(page, server, messages);
    assert.equal(ending.code, code, `${what}: ${JSON.stringify(ending)}`);
    assert.ok(ending.reason.length > 0, `${what} is explained`);
  }
  for (const protocols of [["tiercast.v2"], ["chat", "mqtt"], []]) {
    const ending = await rawSession(page, server, [], protocols);
    assert.deepEqual([ending.opened, ending.code], [false, NOT_OPENED], protocols.join());
  }
  await page.close();

  await stream.run(50);
  await stream.expectAt(root, relay, leaf);
  for (const peer of [root, relay, leaf]) {
    assert.ok(!peer.news.some(({ kind }) => kind === "disconnected"), `${peer.name} stayed connected`);
    assert.deepEqual(peer.faults, []);
  }
});

scenario("a handshake for another protocol is refused with a reason", {}, async (stage) => {
  assert.equal((await handshake(stage.server, "tiercast.v1")).status, 101);
  assert.equal((await handshake(stage.server, "other, tiercast.v1")).status, 101);
  for (const protocol of [undefined, "tiercast.v9", "tiercast"]) {
    const { status, text } = await handshake(stage.server, protocol);
    assert.equal(status, 400);
    assert.match(text, /tiercast\.v1/);
  }
});

scenario("what is no WebSocket at all is answered with a close code", {}, async (stage) => {
  const root = await stage.native({ name: "root" });
  const notMasked = [0x82, 0x03, 1, 2, 3];
  const reservedBits = [0xf2, 0x80, 0, 0, 0, 0];
  const unknownOpcode = [0x83, 0x80, 0, 0, 0, 0];
  const longPing = [0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0, ...Array<number>(256).fill(0)];
  for (const bytes of [notMasked, reservedBits, unknownOpcode, longPing]) {
    assert.equal(await closeCodeOf(stage.server, bytes), MALFORMED, Buffer.from(bytes.slice(0, 8)).toString("hex"));
  }
  await stage.stream.run(20);
  await stage.stream.expectAt(root);
});

/** Once `globalThis.lies` is set, the last byte of what is sent over a link is another one: a part of a signature. */
const LIAR = `
  const { send } = RTCDataChannel.prototype;
  RTCDataChannel.prototype.send = function (data) {
    const bytes = new Uint8Array(data instanceof ArrayBuffer ? data.slice(0) : data.slice().buffer);
    // Heads and small talk stay true.
    if (globalThis.lies && bytes.length > 200) bytes[bytes.length - 1] ^= 1;
    return send.call(this, bytes);
  };`;

scenario("a browser that changes what it relays is found out, and nobody misses anything", {}, async (stage) => {
  const { server, stream } = stage;
  const root = await stage.native({ name: "root", maxChildren: 2 });
  const liar = await stage.browser({ name: "liar", maxChildren: 2, before: LIAR });
  await liar.fedBy(root);
  // Keeps the other place below the root, so that the children go below the liar.
  const honest = await stage.native({ name: "honest", maxChildren: 1 });
  await honest.fedBy(root);
  const native = await stage.native({ name: "native child" });
  await native.fedBy(liar);
  const other = await stage.native({ name: "child of the honest" });
  await other.fedBy(honest);
  const browser = await stage.browser({ name: "browser child" });
  await browser.fedBy(liar);

  await stream.run(50);
  await stream.expectAt(native, browser);
  await liar.page.evaluate(() => {
    Object.assign(globalThis, { lies: true });
  });
  await stream.run(200, 100);
  await stream.expectAt(root, liar, honest, native, other, browser);
  assert.ok(native.linkCodes.includes(BAD_SIGNATURE), "the native child found out");
  assert.ok(browser.linkCodes.includes(BAD_SIGNATURE), "the browser child found out");
  assert.ok((await browser.stats()).badSignatures > 0);
  await server.untilTree("the liar has no children any more", (peers) =>
    peers.every(({ peer, parent, children }) => parent !== liar.peer && (peer !== liar.peer || children === 0)),
  );
});
