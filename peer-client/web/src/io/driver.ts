/** Runs a peer: brings it what happens, and does what it wants done. */
import { Code, LinkMessage } from "../codec/index.js";
import { type Delivery, type Input, type Output, Peer, type PeerConfig, type Status, type Target } from "../core/index.js";
import { Inspector } from "./inspector.js";
import { Links } from "./links.js";
import type { Platform } from "./platform.js";
import { type Attempt, Session } from "./session.js";

/** A timer that comes this late: the page was frozen, or busy. */
const LATE_US = 1_000_000;
/** Then what has come in meanwhile is processed first, so that nobody is taken for silent who was not heard. */
const LATE_WAIT_MS = 250;

export interface DriverSettings {
  /** Where servers are; one at a time is used. */
  readonly urls: readonly string[];
  readonly config: PeerConfig;
  /** STUN and TURN servers besides those that the server names. */
  readonly iceServers: readonly RTCIceServer[];
  readonly iceTransportPolicy: RTCIceTransportPolicy;
  readonly maxConnections: number;
  /** Where the script of a Web Worker is that decodes; true: beside ours. False: the page decodes. */
  readonly worker: boolean | string | URL;
}

export interface DriverEvents {
  connecting(server: string): void;
  /** The connection is gone; `next` is undefined if it is not made again. */
  disconnected(code: Code, reason: string, next: Attempt | undefined): void;
  status(status: Status): void;
  /** The page decodes, although a worker was to. */
  noWorker(reason: string): void;
  /** There may be something in `pollDelivery`. */
  deliverable(): void;
}

export class Driver {
  readonly peer: Peer;
  readonly links: Links;
  readonly #settings: DriverSettings;
  readonly #platform: Platform;
  readonly #events: DriverEvents;
  readonly #session: Session;
  readonly #inspector: Inspector;
  /** Targets that the core has something for and that take nothing now. */
  readonly #pending = new Set<Target>();
  #iceServers: readonly RTCIceServer[];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What the timer is set to. */
  #deadline: number | undefined;
  #isLate = false;
  #isDraining = false;
  #hasEnded = false;
  #openedUs = 0;
  /** The server's clock minus ours. */
  clockOffsetUs: number | undefined;

  constructor(settings: DriverSettings, platform: Platform, events: DriverEvents) {
    this.peer = new Peer(settings.config);
    this.#settings = settings;
    this.#platform = platform;
    this.#events = events;
    this.#iceServers = settings.iceServers;
    const verifier = platform.createVerifier().catch((error: unknown) => {
      this.#session.end(Code.bad_signature, `signatures cannot be checked here: ${String(error)}`);
      return () => Promise.resolve(false);
    });
    const { worker } = settings;
    const openWorker = worker === false ? undefined : () => platform.openWorker?.(worker === true ? undefined : worker);
    this.#inspector = new Inspector(verifier, openWorker, (reason) => {
      // Whoever has just asked for it does not listen yet.
      queueMicrotask(() => {
        events.noWorker(reason);
      });
    });
    this.links = new Links(() => this.#openConnection(), settings.maxConnections, {
      signal: (link, signal) => {
        this.handle({ type: "localSignal", link, signal });
      },
      opened: (link) => {
        this.handle({ type: "linkOpened", link });
      },
      data: (link, bytes) => {
        this.#foresee(bytes);
        this.handle({ type: "linkData", link, bytes });
      },
      writable: (link) => {
        this.#flush(link);
      },
      closed: (link) => {
        this.#pending.delete(link);
        this.handle({ type: "linkClosed", link });
      },
    });
    this.#session = new Session(platform, settings.urls, {
      connecting: (server) => {
        events.connecting(server);
      },
      opened: () => {
        this.#openedUs = platform.now();
        this.handle({ type: "sessionOpened" });
      },
      data: (bytes) => {
        this.#foresee(bytes);
        this.handle({ type: "sessionData", bytes });
      },
      writable: () => {
        this.#flush("session");
      },
      closed: (code, reason, next) => {
        this.#pending.delete("session");
        this.handle({ type: "sessionClosed" });
        events.disconnected(code, reason, next);
      },
    });
  }

  /** The server that there is a connection to, or the next one. */
  get server(): string | undefined {
    return this.#session.server;
  }

  start(): void {
    this.#session.start();
  }

  /** Nothing comes after this. */
  end(): void {
    this.#inspector.end();
    this.stop(false);
    this.#hasEnded = true;
    clearTimeout(this.#timer);
  }

  /** Says goodbye to everybody and makes no connections, until `start`. `isLeaving`: nothing runs after it. */
  stop(isLeaving: boolean): void {
    this.#session.end(Code.departed, "");
    for (const link of this.links.closeAll(LinkMessage.encode({ type: "bye", code: Code.departed }), isLeaving)) {
      this.#pending.delete(link);
      this.handle({ type: "linkClosed", link });
    }
  }

  handle(input: Input): void {
    if (this.#hasEnded) return;
    this.peer.handle(this.#platform.now(), input);
    this.#drain();
  }

  pollDelivery(channel: string): Delivery | undefined {
    const delivery = this.peer.pollDelivery(channel);
    // Reading makes room, also where it gives nothing that is wanted, and the core may have to say so.
    this.#doOutputs();
    return delivery;
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#doOutputs();
    this.#events.deliverable();
  }

  /** Does what the core wants done, in order; what comes of that is done by the same loop. */
  #doOutputs(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      // One who hears of a status may end this.
      for (let output = this.#nextOutput(); output; output = this.#nextOutput()) this.#onOutput(output);
    } finally {
      this.#isDraining = false;
    }
    this.#setTimer();
  }

  #nextOutput(): Output | undefined {
    return this.#hasEnded ? undefined : this.peer.pollOutput();
  }

  #onOutput(output: Output): void {
    switch (output.type) {
      case "transmit":
        this.#send(output.target);
        break;
      case "verify":
        void this.#verify(output);
        break;
      case "closeSession":
        this.#session.close(output.code, output.reason);
        break;
      case "openLink":
        this.links.open(output.link, output.offers, output.via);
        break;
      case "remoteSignal":
        this.links.signal(output.link, output.signal);
        break;
      case "closeLink":
        this.links.close(output.link, output.bye);
        this.#pending.delete(output.link);
        break;
      case "status":
        this.#onStatus(output.status);
        break;
    }
  }

  /** A worker need not wait until it is a frame's turn. */
  #foresee(message: Uint8Array): void {
    if (!this.#inspector.isAhead) return;
    for (const verification of this.peer.foresee(message)) this.#inspector.foresee(verification);
  }

  async #verify({ ticket, ...verification }: Extract<Output, { type: "verify" }>): Promise<void> {
    const isGenuine = await this.#inspector.isGenuine(verification);
    this.handle({ type: "verified", ticket, isGenuine });
  }

  #openConnection(): RTCPeerConnection {
    const { iceTransportPolicy } = this.#settings;
    const connection = this.#platform.openConnection?.({ iceServers: [...this.#iceServers], iceTransportPolicy });
    if (connection === undefined) throw new Error("no WebRTC");
    return connection;
  }

  #onStatus(status: Status): void {
    if (status.kind === "welcome") {
      this.#session.succeeded();
      const now = this.#platform.now();
      this.clockOffsetUs = Math.round(status.serverTimeUs + (now - this.#openedUs) / 2 - now);
      const offered = status.iceServers.map((server) => ({ ...server, urls: [...server.urls] }));
      this.#iceServers = [...this.#settings.iceServers, ...offered];
    } else if (status.kind === "refused" && status.retryAfterMs !== undefined) {
      this.#session.retryAfter(status.retryAfterMs);
    }
    this.#events.status(status);
  }

  /** A target has room again. */
  #flush(target: Target): void {
    if (!this.#pending.delete(target)) return;
    this.#send(target);
    this.#drain();
  }

  /** Sends as much as the target takes, and remembers if there may be more. */
  #send(target: Target): void {
    const transport = target === "session" ? this.#session : this.links.get(target);
    if (transport === undefined) return;
    while (transport.isWritable) {
      const bytes = this.peer.pollTransmit(target);
      if (bytes === undefined) return;
      transport.trySend(bytes);
    }
    this.#pending.add(target);
  }

  #setTimer(): void {
    const deadline = this.peer.pollTimeout();
    if (deadline === this.#deadline || this.#isLate || this.#hasEnded) return;
    clearTimeout(this.#timer);
    this.#deadline = deadline;
    if (deadline === undefined) return;
    const delayMs = Math.max(0, Math.ceil((deadline - this.#platform.now()) / 1000));
    this.#timer = setTimeout(() => {
      this.#onTimer(deadline);
    }, delayMs);
  }

  #onTimer(deadline: number): void {
    if (!this.#isLate && this.#platform.now() - deadline >= LATE_US) {
      this.#isLate = true;
      this.#timer = setTimeout(() => {
        this.#onTimer(deadline);
      }, LATE_WAIT_MS);
      return;
    }
    this.#isLate = false;
    this.#deadline = undefined;
    this.handle({ type: "timeout" });
  }
}
