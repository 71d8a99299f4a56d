import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { type Signal, encodeNack } from "../codec/index.js";
import { FakeChannel, FakeConnection, SDP } from "../testing/fake-connection.js";
import { RtcConnection } from "./rtc-connection.js";
import { RtcLink } from "./rtc-link.js";

interface Made {
  readonly link: RtcLink;
  readonly shared: RtcConnection;
  readonly connection: FakeConnection;
  readonly log: string[];
  readonly signals: Signal[];
}

function make(offers: boolean): Made {
  const connection = new FakeConnection();
  const log: string[] = [];
  const signals: Signal[] = [];
  const shared = new RtcConnection(connection.asRtc(), 1, offers, {
    signal: (signal) => signals.push(signal),
    released: () => log.push("released"),
  });
  const link = new RtcLink(shared, 1, offers, {
    opened: () => log.push("opened"),
    data: (bytes) => log.push(`data ${bytes.length}`),
    writable: () => log.push("writable"),
    closed: () => log.push("closed"),
  });
  return { link, shared, connection, log, signals };
}

async function settle(): Promise<void> {
  await new Promise((done) => setImmediate(done));
}

test("the offerer opens the channel and offers", async () => {
  const { connection, signals, log } = make(true);
  await settle();
  assert.deepEqual(signals, [{ kind: "offer", sdp: SDP }]);
  assert.equal(connection.channel?.label, "1");
  assert.equal(connection.channel.binaryType, "arraybuffer");
  connection.channel.open();
  assert.deepEqual(log, ["opened"]);
});

test("candidates that come before the description wait for it", async () => {
  const { shared, connection, signals } = make(false);
  shared.signal({ kind: "candidate", candidate: "first", mid: "0" });
  shared.signal({ kind: "candidate", candidate: "", mid: "0" });
  shared.signal({ kind: "candidate", candidate: "odd", mid: "0" });
  shared.signal({ kind: "offer", sdp: SDP });
  shared.signal({ kind: "candidate", candidate: "later", mid: "0" });
  await settle();
  assert.deepEqual(connection.steps, ["offer", "local", "first", "odd", "later"]);
  assert.deepEqual(signals, [{ kind: "answer", sdp: SDP }]);
  connection.onicecandidate?.({ candidate: { candidate: "ours" } });
  connection.onicecandidate?.({ candidate: null });
  assert.deepEqual(signals.at(-1), { kind: "candidate", candidate: "ours", mid: "0" });
});

test("no more candidates are said than the hub forwards", async () => {
  const { connection, signals } = make(true);
  await settle();
  connection.onicecandidate?.({ candidate: { candidate: "c".repeat(512) } });
  for (let i = 0; i < 100; i++) connection.onicecandidate?.({ candidate: { candidate: "c".repeat(511) } });
  assert.equal(signals.filter(({ kind }) => kind === "candidate").length, 64);
});

test("the answerer takes the one channel that it expects, open or not yet", async () => {
  for (const isOpen of [true, false]) {
    const { connection, log } = make(false);
    const channel = new FakeChannel();
    if (isOpen) channel.readyState = "open";
    connection.ondatachannel?.({ channel });
    await settle();
    channel.open();
    assert.deepEqual(log, ["opened"], "once");
  }
});

test("signaling that makes no sense closes the link", async () => {
  const media = `${SDP}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n`;
  const bad: [boolean, Signal[]][] = [
    [true, [{ kind: "offer", sdp: SDP }]],
    [false, [{ kind: "answer", sdp: SDP }]],
    [false, [{ kind: "offer", sdp: media }]],
    [false, [{ kind: "offer", sdp: "" }]],
    [false, [{ kind: "offer", sdp: SDP + "a=x\r\n".repeat(16_000) }]],
    [false, [{ kind: "offer", sdp: SDP }, { kind: "offer", sdp: SDP }]],
  ];
  for (const [offers, signals] of bad) {
    const { shared, connection, log } = make(offers);
    for (const signal of signals) shared.signal(signal);
    await settle();
    assert.deepEqual(log, ["released", "closed"]);
    assert.ok(connection.isClosed);
  }
});

test("more candidates than are useful are ignored", async () => {
  const { shared, connection } = make(false);
  shared.signal({ kind: "offer", sdp: SDP });
  for (let index = 0; index < 100; index++) shared.signal({ kind: "candidate", candidate: `${index}`, mid: "0" });
  shared.signal({ kind: "candidate", candidate: "long".repeat(200), mid: "0" });
  await settle();
  assert.equal(connection.steps.length, 2 + 64);
});

test("what the browser holds is bounded", async () => {
  const { link, connection, log } = make(true);
  await settle();
  const { channel } = connection;
  assert.ok(channel !== undefined);
  assert.equal(link.trySend(new Uint8Array(1)), false, "not open");
  channel.open();
  assert.ok(link.trySend(new Uint8Array(1)));
  channel.bufferedAmount = 256 << 10;
  assert.equal(link.trySend(new Uint8Array(1)), false);
  assert.equal(channel.bufferedAmountLowThreshold, 64 << 10);
  channel.onbufferedamountlow?.();
  assert.deepEqual(log, ["opened", "writable"]);
});

/** A message as it goes on the lossy channel. */
function onLossy(link: number, message: Uint8Array): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, link, ...message);
}

test("what may be lost goes on the lossy channel once that is open", async () => {
  const { link, connection } = make(true);
  await settle();
  const { channel, lossy } = connection;
  assert.ok(channel !== undefined && lossy !== undefined);
  assert.deepEqual(connection.lossyInit, { negotiated: true, id: 0, ordered: false, maxRetransmits: 0 });
  const nack = encodeNack({ after: { epoch: 7, offset: 1 }, to: { epoch: 7, offset: 2 } });
  channel.open();
  assert.ok(link.trySend(nack));
  lossy.open();
  assert.ok(link.trySend(nack) && link.trySend(Uint8Array.of(0x80)));
  assert.deepEqual([channel.sent, lossy.sent], [[nack, Uint8Array.of(0x80)], [onLossy(1, nack)]]);
});

test("what comes on the lossy channel is that of its link, if that is open and it may be lost", async () => {
  const { connection, log } = make(true);
  await settle();
  const { channel, lossy } = connection;
  const comes = (bytes: Uint8Array): unknown => lossy?.onmessage?.({ data: bytes.slice().buffer });
  const nack = encodeNack({ after: { epoch: 7, offset: 1 }, to: { epoch: 7, offset: 2 } });
  comes(onLossy(1, nack));
  channel?.open();
  comes(onLossy(1, nack));
  comes(onLossy(2, nack));
  comes(onLossy(1, Uint8Array.of(0x80)));
  comes(Uint8Array.of(1));
  lossy?.onmessage?.({ data: "text" });
  assert.deepEqual(log, ["opened", `data ${nack.length}`]);
});

test("there is room where both channels have some, and either says so", async () => {
  const { link, connection, log } = make(true);
  await settle();
  const { channel, lossy } = connection;
  assert.ok(channel !== undefined && lossy !== undefined);
  for (const either of [lossy, channel]) either.open();
  for (const either of [channel, lossy]) {
    either.bufferedAmount = 256 << 10;
    assert.equal(link.isWritable, false);
    either.bufferedAmount = 64 << 10;
    assert.equal(either.bufferedAmountLowThreshold, 64 << 10);
    either.onbufferedamountlow?.();
    assert.ok(link.isWritable);
  }
  assert.deepEqual(log, ["opened", "writable", "writable"]);
});

test("a goodbye is given time to leave", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    for (const channelCloses of [true, false]) {
      const { link, connection, log } = make(true);
      await settle();
      const { channel } = connection;
      assert.ok(channel !== undefined);
      channel.open();
      link.close(Uint8Array.of(1, 2));
      assert.deepEqual(channel.sent, [Uint8Array.of(1, 2)]);
      assert.ok(channel.isClosed);
      assert.equal(connection.isClosed, false);
      if (channelCloses) channel.onclose?.();
      else mock.timers.tick(100);
      assert.ok(connection.isClosed);
      channel.onclose?.();
      mock.timers.tick(100);
      assert.deepEqual(log, ["opened", "released"], "whoever closes it knows");
    }
  } finally {
    mock.timers.reset();
  }
});

test("every way to fail closes the connection and says so once", async () => {
  const ways: ((made: Made) => void)[] = [
    ({ connection }) => {
      connection.fail();
    },
    ({ connection }) => connection.channel?.onclose?.(),
    ({ connection }) => connection.channel?.onmessage?.({ data: new ArrayBuffer((64 << 10) + 1) }),
  ];
  for (const fail of ways) {
    const made = make(true);
    await settle();
    fail(made);
    fail(made);
    assert.deepEqual(made.log, ["released", "closed"]);
    assert.ok(made.connection.isClosed);
  }
});
