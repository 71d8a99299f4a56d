import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { FakeConnection, SDP } from "../testing/fake-connection.js";
import { Links } from "./links.js";

const BYE = Uint8Array.of(1);

class Neighbourhood {
  readonly connections: FakeConnection[] = [];
  readonly log: string[] = [];
  readonly links: Links;

  constructor(connectionsMax: number, open = (): FakeConnection => new FakeConnection()) {
    const openConnection = (): RTCPeerConnection => {
      const connection = open();
      this.connections.push(connection);
      return connection.asRtc();
    };
    this.links = new Links(openConnection, connectionsMax, {
      signal: (link, { kind }) => this.log.push(`${link} says ${kind}`),
      opened: (link) => this.log.push(`${link} opened`),
      data: (link) => this.log.push(`${link} data`),
      writable: (link) => this.log.push(`${link} writable`),
      closed: (link) => this.log.push(`${link} closed`),
    });
  }

  get open(): number {
    return this.connections.filter(({ isClosed }) => !isClosed).length;
  }
}

async function settle(): Promise<void> {
  await new Promise((done) => setImmediate(done));
}

test("a link beyond the last connection waits for one, and loses nothing that was signaled meanwhile", async () => {
  const { links, connections, log } = new Neighbourhood(1);
  links.open(1, true, undefined);
  links.open(2, false, undefined);
  links.signal(2, { kind: "offer", sdp: SDP });
  links.signal(2, { kind: "candidate", candidate: "early", mid: "0" });
  await settle();
  assert.equal(connections.length, 1);
  links.close(1, undefined);
  await settle();
  assert.deepEqual(connections[1]?.steps, ["offer", "local", "early"]);
  assert.deepEqual(log, ["1 says offer", "2 says answer"]);
});

test("a link that is closed while it waits takes no connection", () => {
  const { links, connections } = new Neighbourhood(1);
  for (const link of [1, 2, 3]) links.open(link, true, undefined);
  links.close(2, BYE);
  links.close(1, undefined);
  assert.equal(connections.length, 2);
  links.close(3, undefined);
  assert.equal(links.connections, 0);
});

test("a connection counts until it is closed, not only until its link is", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { links, connections } = new Neighbourhood(1);
    links.open(1, true, undefined);
    await settle();
    connections[0]?.channel?.open();
    links.close(1, BYE);
    links.open(2, true, undefined);
    assert.deepEqual([links.connections, connections.length], [1, 1]);
    mock.timers.tick(100);
    assert.deepEqual([links.connections, connections.length], [1, 2]);
  } finally {
    mock.timers.reset();
  }
});

test("after many links that end in every way no connection is left, and there were never more than so many", async () => {
  const place = new Neighbourhood(8);
  const { links, connections } = place;
  const ends: ((link: number) => void)[] = [
    (link) => {
      links.close(link, undefined);
    },
    (link) => {
      links.close(link, BYE);
    },
    (link) => {
      links.signal(link, { kind: "offer", sdp: "nonsense" });
    },
    () => {
      connections.find(({ isClosed }) => !isClosed)?.fail();
    },
  ];
  for (let link = 0; link < 1_000; link++) {
    links.open(link, link % 3 > 0, undefined);
    await settle();
    assert.ok(place.open <= 8);
    assert.equal(links.connections, place.open);
    if (link >= 10) ends[link % ends.length]?.(link - 10);
  }
  links.closeAll(BYE, false);
  await settle();
  assert.deepEqual([links.connections, place.open], [0, 0]);
  assert.equal(links.connectionsOpened, connections.length);
  assert.ok(connections.length > 900, `${connections.length}`);
});

test("when a page is left everything is closed before it goes, and nothing is opened for those who wait", () => {
  const place = new Neighbourhood(2);
  const { links, connections } = place;
  for (const link of [1, 2, 3]) links.open(link, true, undefined);
  connections[0]?.channel?.open();
  assert.deepEqual(links.closeAll(BYE, true), [1, 2, 3]);
  assert.deepEqual([place.open, connections.length], [0, 2]);
  assert.deepEqual(connections[0]?.channel?.sent, [BYE]);
});

test("a browser that gives no connection closes the link", async () => {
  const { links, log } = new Neighbourhood(2, () => {
    throw new Error("not today");
  });
  links.open(1, true, undefined);
  await settle();
  assert.deepEqual(log, ["1 closed"]);
  assert.equal(links.connections, 0);
});

test("regression: where the browser gives no connection to one that waits, the next is tried", async () => {
  let opened = 0;
  const { links, connections, log } = new Neighbourhood(1, () => {
    if (++opened === 2) throw new Error("not this one");
    return new FakeConnection();
  });
  links.open(1, false, undefined);
  links.open(2, true, undefined);
  links.open(3, true, 2);
  links.open(4, true, undefined);
  links.close(1, undefined);
  await settle();
  assert.deepEqual(log, ["2 closed", "3 closed", "4 says offer"]);
  assert.deepEqual([links.connections, links.size, connections.length], [1, 1, 2]);
});

test("regression: where the browser gives nobody a connection, nobody waits for ever", async () => {
  let opened = 0;
  const { links, log } = new Neighbourhood(1, () => {
    if (++opened > 1) throw new Error("no more");
    return new FakeConnection();
  });
  for (const link of [1, 2, 3]) links.open(link, false, undefined);
  links.close(1, undefined);
  await settle();
  assert.deepEqual(log, ["2 closed", "3 closed"]);
  assert.deepEqual([links.connections, links.size], [0, 0]);
});

test("links share a connection, which counts once, and wait for it together", async () => {
  const { links, connections, log } = new Neighbourhood(1);
  links.open(1, true, undefined);
  links.open(2, true, 1);
  links.open(3, true, undefined);
  links.open(4, true, 3);
  links.open(5, true, 4);
  connections[0]?.channels[0]?.open();
  assert.deepEqual([links.connections, links.size], [1, 5]);
  links.close(1, undefined);
  assert.deepEqual([connections.length, connections[0]?.isClosed], [1, false]);
  links.close(2, undefined);
  connections[1]?.channels[0]?.open();
  assert.deepEqual(connections.map(({ channels }) => channels.map(({ label }) => label)), [["1", "2"], ["3", "4", "5"]]);
  await settle();
  assert.deepEqual(log, ["1 opened", "3 opened", "3 says offer"]);
});

test("a link that is to share what is gone, or waits and is given up, ends", async () => {
  const { links, log } = new Neighbourhood(1);
  links.open(1, true, undefined);
  links.open(2, true, 9);
  links.open(3, true, undefined);
  links.open(4, true, 3);
  links.close(3, undefined);
  await settle();
  assert.deepEqual(log.filter((line) => line.endsWith("closed")), ["2 closed", "4 closed"]);
  assert.equal(links.size, 1);
});
