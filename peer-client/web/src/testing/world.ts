/** Peers, a server and the links between them, in memory and with a clock that only a test moves. */
import { verifyEd25519 } from "../io/ed25519.js";
import { type Delivery, type Input, type Output, Peer, type Status } from "../core/index.js";
import type { PeerConfig } from "../core/index.js";
import { FakeHub } from "./fake-hub.js";

export const CHANNEL = "builds";
const SECOND_US = 1_000_000;

/** A peer, and what a test wants to know of it. */
export class TestPeer {
  readonly peer: Peer;
  readonly #world: World;
  /** What the hub calls it; 0: not connected. */
  id = 0;
  readonly deliveries: Delivery[] = [];
  readonly statuses: Status[] = [];
  readonly closed: { readonly code: number; readonly reason: string }[] = [];
  /** Whether the application takes what there is. */
  isReading = true;
  /** Whether its links take anything; otherwise it waits until `flush`. */
  isWritable = true;
  readonly #unsent = new Set<number>();
  /** Whether signatures are checked at once; otherwise when `verifyNext` is called. */
  verifiesAtOnce = true;
  readonly verifying: Extract<Output, { type: "verify" }>[] = [];

  constructor(world: World, config: Partial<PeerConfig>) {
    this.#world = world;
    this.peer = new Peer({ relay: { node: "browser", children_max: 4 }, ...config });
  }

  /** The bodies of the events it was given. */
  get bodies(): string[] {
    const text = new TextDecoder();
    return this.deliveries.flatMap((delivery) =>
      delivery.kind === "event" ? [text.decode(delivery.event.body)] : [],
    );
  }

  get gaps(): Delivery[] {
    return this.deliveries.filter(({ kind }) => kind === "gap");
  }

  connect(): void {
    const { hub } = this.#world;
    this.id = hub.open((bytes) => {
      const { id } = this;
      this.#world.later(() => {
        if (this.id === id) this.handle({ type: "sessionData", bytes });
      });
    });
    this.handle({ type: "sessionOpened" });
  }

  disconnect(): void {
    this.#world.hub.close(this.id);
    this.id = 0;
    this.handle({ type: "sessionClosed" });
  }

  subscribe(): void {
    this.handle({ type: "subscribe", channel: CHANNEL, since: "earliest" });
  }

  handle(input: Input): void {
    this.peer.handle(this.#world.now, input);
    this.drain();
  }

  /** Its links take something again. */
  flush(): void {
    this.isWritable = true;
    for (const target of this.#unsent) this.#onOutput({ type: "transmit", target });
    this.#unsent.clear();
    this.drain();
  }

  verifyNext(): void {
    const output = this.verifying.shift();
    if (output === undefined) return;
    const { message, signature } = output.signed;
    const isGenuine = output.keys.some((key) => verifyEd25519(key, message, signature));
    this.handle({ type: "verified", ticket: output.ticket, isGenuine });
  }

  /** An application that does not read by itself takes the next event or gap. False if there is none. */
  readOne(): boolean {
    const next = this.peer.pollDelivery(CHANNEL);
    if (next !== undefined) this.deliveries.push(next);
    this.drain();
    return next !== undefined;
  }

  drain(): void {
    for (let output = this.peer.pollOutput(); output; output = this.peer.pollOutput()) this.#onOutput(output);
    if (!this.isReading) return;
    for (let next = this.peer.pollDelivery(CHANNEL); next; next = this.peer.pollDelivery(CHANNEL)) {
      this.deliveries.push(next);
    }
    // Reading can make room, and that has to be said.
    for (let output = this.peer.pollOutput(); output; output = this.peer.pollOutput()) this.#onOutput(output);
  }

  #onOutput(output: Output): void {
    switch (output.type) {
      case "transmit":
        if (output.target !== "session" && !this.isWritable) {
          this.#unsent.add(output.target);
          break;
        }
        for (let bytes = this.peer.pollTransmit(output.target); bytes; bytes = this.peer.pollTransmit(output.target)) {
          this.#world.send(this, output.target, bytes);
        }
        break;
      case "verify":
        this.verifying.push(output);
        if (this.verifiesAtOnce) this.verifyNext();
        break;
      case "openLink":
        this.#world.openEnd(this, output.link);
        break;
      case "closeLink":
        if (output.bye !== undefined) this.#world.send(this, output.link, output.bye);
        this.#world.closeEnd(this, output.link);
        break;
      case "closeSession":
        this.closed.push(output);
        this.#world.hub.close(this.id);
        this.id = 0;
        break;
      case "status":
        this.statuses.push(output.status);
        break;
      case "remoteSignal":
        break;
    }
  }
}

interface TestLink {
  readonly ends: TestPeer[];
  isOpen: boolean;
}

export class World {
  now = 1_000 * SECOND_US;
  readonly hub: FakeHub;
  readonly peers: TestPeer[] = [];
  /** Looks at what goes over links, and may change it, or drop it by giving nothing. */
  tamper: (bytes: Uint8Array, link: number, from: TestPeer) => Uint8Array | undefined = (bytes) => bytes;
  /** Whether the server pings its sessions, every ten seconds. */
  serverPings = true;
  #lastPing = this.now;
  /** Bytes sent over each link. */
  readonly sent = new Map<number, Uint8Array[]>();
  readonly #links = new Map<number, TestLink>();
  readonly #queue: (() => void)[] = [];

  constructor() {
    this.hub = new FakeHub(CHANNEL, () => this.now);
  }

  /** Adds a peer that is connected and subscribed. */
  join(config: Partial<PeerConfig> = {}): TestPeer {
    const peer = new TestPeer(this, config);
    this.peers.push(peer);
    peer.connect();
    peer.subscribe();
    this.run();
    return peer;
  }

  later(action: () => void): void {
    this.#queue.push(action);
  }

  /** Lets everything arrive that is under way. */
  run(): void {
    for (let action = this.#queue.shift(); action; action = this.#queue.shift()) action();
  }

  /** Lets time pass, in steps of at most 100 ms, with all deadlines met. */
  advance(seconds: number): void {
    const end = this.now + seconds * SECOND_US;
    while (this.now < end) {
      this.now = Math.min(end, this.now + SECOND_US / 10);
      if (this.serverPings && this.now >= this.#lastPing + 10 * SECOND_US) {
        this.#lastPing = this.now;
        this.hub.ping();
      }
      for (const peer of this.peers) {
        const deadline = peer.peer.pollTimeout();
        if (deadline !== undefined && deadline <= this.now) peer.handle({ type: "timeout" });
      }
      this.run();
    }
  }

  send(from: TestPeer, target: "session" | number, bytes: Uint8Array): void {
    if (target === "session") {
      this.later(() => {
        this.hub.receive(from.id, bytes);
      });
      return;
    }
    const to = this.#links.get(target)?.ends.find((end) => end !== from);
    const passed = this.tamper(bytes, target, from);
    this.sent.set(target, [...(this.sent.get(target) ?? []), bytes]);
    if (to === undefined || passed === undefined) return;
    this.later(() => {
      if (this.#links.get(target)?.isOpen === true) to.handle({ type: "linkData", link: target, bytes: passed });
    });
  }

  openEnd(peer: TestPeer, id: number): void {
    const link = this.#links.get(id) ?? { ends: [], isOpen: false };
    this.#links.set(id, link);
    link.ends.push(peer);
    if (link.ends.length < 2) return;
    this.later(() => {
      link.isOpen = true;
      for (const end of link.ends) end.handle({ type: "linkOpened", link: id });
    });
  }

  /** One end closes a link; the other end notices. */
  closeEnd(peer: TestPeer, id: number): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.later(() => {
      link.isOpen = false;
      this.#links.delete(id);
      for (const end of link.ends) if (end !== peer) end.handle({ type: "linkClosed", link: id });
    });
  }
}
