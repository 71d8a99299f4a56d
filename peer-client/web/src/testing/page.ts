/** A page with a client and a server that is played, in a time that only a test moves. */
import { mock, test } from "node:test";
import { Client, type ClientStatus } from "../client.js";
import { verifyEd25519 } from "../io/ed25519.js";
import type { Platform } from "../io/platform.js";
import type { Notification } from "../notification.js";
import type { ConnectOptions } from "../options.js";
import { FakeHub } from "./fake-hub.js";
import { FakeSocket } from "./fake-socket.js";
import { FakeSurroundings } from "./fake-surroundings.js";

export const CHANNEL = "builds";

export class Page {
  readonly hub = new FakeHub(CHANNEL, () => Date.now() * 1000);
  readonly sockets: FakeSocket[] = [];
  /** Whether connections come about. */
  isReachable = true;
  readonly urls: string[] = [];
  readonly statuses: ClientStatus[] = [];
  readonly surroundings = new FakeSurroundings();
  readonly client: Client;

  /** `hubs`: other servers in the place of the one, by their addresses. */
  constructor(
    options: ConnectOptions = {},
    others: Partial<Platform> = {},
    hubs: ReadonlyMap<string, FakeHub> = new Map([["http://localhost:1", this.hub]]),
  ) {
    const platform: Platform = {
      openSocket: (url, protocol) => {
        this.urls.push(url);
        const socket = new FakeSocket(hubs.get(new URL(url).origin) ?? this.hub, protocol);
        if (!this.isReachable) socket.readyState = 2;
        this.sockets.push(socket);
        return socket.asWebSocket();
      },
      openConnection: undefined,
      surroundings: this.surroundings,
      createVerifier: () =>
        Promise.resolve((key, message, signature) => Promise.resolve(verifyEd25519(key, message, signature))),
      now: () => Date.now() * 1000,
      random: () => 0.5,
      ...others,
    };
    this.client = new Client([...hubs.keys()], options, platform);
    this.client.on("status", (status) => this.statuses.push(status));
  }

  get kinds(): string[] {
    return this.statuses.map(({ kind }) => kind);
  }

  drop(code: number): void {
    this.sockets.at(-1)?.drop(code);
  }
}

/** Lets everything happen that needs no more than so many milliseconds. */
export async function pass(ms = 0): Promise<void> {
  for (let step = 0; step < 20; step++) await new Promise((done) => setImmediate(done));
  mock.timers.tick(ms);
  for (let round = 0; round < 200; round++) {
    await new Promise((done) => setImmediate(done));
    mock.timers.tick(0);
  }
}

export function inFakeTime(name: string, run: () => Promise<void>): void {
  void test(name, async () => {
    mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_790_000_000_000 });
    try {
      await run();
    } finally {
      mock.timers.reset();
    }
  });
}

export function text(notification: Notification): string {
  return notification.type === "event" ? new TextDecoder().decode(notification.body) : notification.reason;
}
