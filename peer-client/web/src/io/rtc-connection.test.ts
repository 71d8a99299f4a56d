import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { FakeChannel, FakeConnection } from "../testing/fake-connection.js";
import { RtcConnection } from "./rtc-connection.js";
import { RtcLink } from "./rtc-link.js";

const BYE = Uint8Array.of(1);

/** A connection that was made for link 1, which has joined. */
class Made {
  readonly transport = new FakeConnection();
  readonly log: string[] = [];
  readonly shared: RtcConnection;
  readonly links: RtcLink[] = [];

  constructor(offers: boolean) {
    this.shared = new RtcConnection(this.transport.asRtc(), 1, offers, {
      signal: ({ kind }) => this.log.push(kind),
      released: () => this.log.push("released"),
    });
    this.join(1, offers);
  }

  join(link: number, offers: boolean): RtcLink {
    const made = new RtcLink(this.shared, link, offers, {
      opened: () => this.log.push(`${link} opened`),
      data: (bytes) => this.log.push(`${link} data ${bytes.length}`),
      writable: () => undefined,
      closed: () => this.log.push(`${link} closed`),
    });
    this.links.push(made);
    return made;
  }

  /** The other end opens a channel. */
  comes(label: string): FakeChannel {
    const channel = new FakeChannel(label);
    channel.readyState = "open";
    this.transport.ondatachannel?.({ channel });
    return channel;
  }

  get labels(): string[] {
    return this.transport.channels.map(({ label }) => label);
  }
}

async function settle(): Promise<void> {
  await new Promise((done) => setImmediate(done));
}

test("links open their channels when the connection is up, and nothing more is signaled for them", async () => {
  const made = new Made(true);
  made.join(2, true);
  await settle();
  assert.deepEqual(made.labels, ["1"]);
  made.transport.channels[0]?.open();
  made.join(3, true);
  assert.deepEqual(made.labels, ["1", "2", "3"]);
  for (const channel of made.transport.channels.slice(1)) channel.open();
  assert.deepEqual(made.log, ["offer", "1 opened", "2 opened", "3 opened"]);
});

test("whoever answers opens channels of its own when it has heard something on another", async () => {
  const made = new Made(false);
  made.join(2, true);
  const first = made.comes("1");
  await settle();
  assert.deepEqual([made.log, made.labels], [["1 opened"], []]);
  first.onmessage?.({ data: new ArrayBuffer(1) });
  assert.deepEqual(made.labels, ["2"]);
});

test("a connection outlives the link that it was made for, and ends with the last one", () => {
  const made = new Made(true);
  made.transport.channels[0]?.open();
  const second = made.join(2, true);
  made.transport.channels[1]?.open();
  made.links[0]?.close(undefined);
  assert.ok(made.transport.channels[0]?.isClosed);
  assert.equal(made.transport.isClosed, false);
  assert.ok(second.trySend(BYE));
  second.close(undefined);
  assert.ok(made.transport.isClosed);
  assert.deepEqual(made.log, ["1 opened", "2 opened", "released"]);
});

test("the end of a connection is that of all its links, and of one that comes later", async () => {
  const made = new Made(true);
  made.transport.channels[0]?.open();
  made.join(2, true);
  made.join(3, false);
  made.transport.fail();
  made.join(4, true);
  await settle();
  assert.deepEqual(made.log, ["1 opened", "released", "1 closed", "2 closed", "3 closed", "4 closed"]);
});

test("if the link that a connection is made for ends before it is up, the others end as well", () => {
  const made = new Made(true);
  made.join(2, true);
  made.links[0]?.close(undefined);
  assert.deepEqual(made.log, ["released", "2 closed"]);
});

test("a channel that comes before the word of its link waits for it, for a while and not with too many others", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const made = new Made(true);
    made.transport.channels[0]?.open();
    const early = made.comes("2");
    made.join(2, false);
    await settle();
    assert.ok(made.log.includes("2 opened"));
    const many = Array.from({ length: 17 }, (_, index) => made.comes(`${index + 3}`));
    assert.deepEqual(many.map(({ isClosed }) => isClosed), [true, ...Array<boolean>(16).fill(false)]);
    mock.timers.tick(10_000);
    assert.ok(many.every(({ isClosed }) => isClosed));
    assert.equal(early.isClosed, false);
  } finally {
    mock.timers.reset();
  }
});

test("a channel that is not that of a link is closed, and harms nobody", () => {
  const made = new Made(true);
  made.transport.channels[0]?.open();
  assert.ok(["tiercast", "", "-1", "1e3", " 2"].every((label) => made.comes(label).isClosed));
  assert.equal(made.transport.isClosed, false);
});

test("regression: what comes on a channel before the word of its link is not lost", async () => {
  const made = new Made(true);
  made.transport.channels[0]?.open();
  const early = made.comes("2");
  early.onmessage?.({ data: new ArrayBuffer(120) });
  made.join(2, false);
  await settle();
  early.onmessage?.({ data: new ArrayBuffer(7) });
  assert.deepEqual(made.log.filter((line) => line.startsWith("2")), ["2 opened", "2 data 120", "2 data 7"]);
});

test("who says more than it takes to join before its link is there loses its channel", () => {
  const made = new Made(false);
  const babbler = made.comes("2");
  for (let index = 0; index < 64; index++) babbler.onmessage?.({ data: new ArrayBuffer(0) });
  assert.equal(babbler.isClosed, false);
  babbler.onmessage?.({ data: new ArrayBuffer(0) });
  assert.ok(babbler.isClosed);
  const writer = made.comes("3");
  writer.onmessage?.({ data: "text" });
  assert.ok(writer.isClosed);
});

test("a channel that is closed again before its link takes it ends that", async () => {
  const made = new Made(true);
  made.transport.channels[0]?.open();
  made.comes("2").close();
  made.join(2, false);
  await settle();
  assert.ok(made.log.includes("2 closed"));
});
