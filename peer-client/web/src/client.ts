/** A page's connection to a Tiercast server and to the peers around it. */
import { type Code, mayReconnect } from "./codec/code.js";
import type { Status } from "./core/peer-types.js";
import { Emitter } from "./emitter.js";
import { Driver } from "./io/driver.js";
import { Manners } from "./io/manners.js";
import type { Platform } from "./io/platform.js";
import type { Attempt } from "./io/session.js";
import type { Surroundings } from "./io/surroundings.js";
import {
  type ConnectOptions,
  type RelaySettings,
  type ServerUrls,
  type SubscribeOptions,
  checkConnectOptions,
  checkSubscribeOptions,
  driverSettings,
  relaySettings,
  roomForChildren,
  subscribeSettings,
} from "./options.js";
import { type ClientStats, channelStats } from "./stats.js";
import { Memory } from "./memory.js";
import { checkName } from "./names.js";
import { Subscription, SubscriptionError } from "./subscription.js";

/** News of a client. */
export type ClientStatus =
  | { readonly kind: "connecting"; readonly server: string }
  /** The server has answered; `peer` is what it calls the page. */
  | { readonly kind: "connected"; readonly peer: number; readonly server: string }
  /** The connection is gone, or the attempt has failed; `reconnecting` follows. Links go on working. */
  | { readonly kind: "disconnected"; readonly code: Code; readonly reason: string }
  /** It is tried again in `delayMs`. `attempt`: how many there will have been since one succeeded. */
  | { readonly kind: "reconnecting"; readonly attempt: number; readonly delayMs: number; readonly server: string }
  /** The connection is gone for good: every server said that coming back makes no sense, or `close` was called. */
  | { readonly kind: "closed"; readonly code: Code; readonly reason: string }
  /** The server refused something that belongs to no subscription. */
  | { readonly kind: "refused"; readonly code: Code; readonly reason: string }
  /** The page decodes what comes in, although `worker` asks for a Web Worker. Nothing is lost by that. */
  | { readonly kind: "no_worker"; readonly reason: string }
  /** The link to another peer is gone. Whatever it fed is fed by the server until there is another. */
  | { readonly kind: "link_lost"; readonly peer: number; readonly code: Code };

interface ClientEvents extends Readonly<Record<string, unknown>> {
  readonly status: ClientStatus;
}

const LISTENED_TO = { status: true };

export class Client {
  readonly #platform: Platform;
  readonly #driver: Driver;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #relays: RelaySettings;
  /** Undefined for a page that does the same whatever happens around it. */
  readonly #manners: Manners | undefined;
  readonly #closed = new AbortController();
  #peer: number | undefined;
  #sessions = 0;

  /** @internal */
  constructor(urls: ServerUrls, options: ConnectOptions, platform: Platform) {
    checkConnectOptions(options);
    options.signal?.throwIfAborted();
    this.#platform = platform;
    this.#relays = relaySettings(options, platform.openConnection !== undefined);
    this.#driver = new Driver(driverSettings(urls, options, this.#relays), platform, {
      connecting: (server) => {
        this.#say({ kind: "connecting", server });
      },
      disconnected: (code, reason, next) => {
        this.#onDisconnected(code, reason, next);
      },
      status: (status) => {
        this.#onStatus(status);
      },
      noWorker: (reason) => {
        this.#say({ kind: "no_worker", reason });
      },
      deliverable: () => {
        for (const subscription of this.#subscriptions.values()) subscription.pump();
      },
    });
    this.#manners = this.#watch(platform.surroundings);
    this.#offer();
    this.#driver.start();
    const close = (): void => {
      this.close();
    };
    options.signal?.addEventListener("abort", close, { signal: this.#closed.signal });
  }

  /** Asks for a channel. It goes on over reconnects, from where it was. Throws if there is a subscription for it. */
  subscribe(channel: string, options: SubscribeOptions = {}): Subscription {
    if (this.#closed.signal.aborted) throw new Error("the client is closed");
    checkSubscribeOptions(options);
    options.signal?.throwIfAborted();
    const { since, patterns } = subscribeSettings(channel, options);
    const memory = this.#memory(channel, options.remember);
    this.#driver.handle({ type: "subscribe", channel, since: memory?.position ?? since });
    const subscription = new Subscription(channel, patterns, memory, {
      poll: () => this.#driver.pollDelivery(channel),
      unsubscribe: () => {
        this.#subscriptions.delete(channel);
        this.#driver.handle({ type: "unsubscribe", channel });
        this.#offer();
      },
    });
    this.#subscriptions.set(channel, subscription);
    this.#offer();
    subscription.endWith(options.signal);
    return subscription;
  }

  /** Calls `listener` with each change of status, until the function that it returns is called. */
  on(type: "status", listener: (status: ClientStatus) => void): () => void {
    checkName(type, LISTENED_TO, "a client tells nothing of the type");
    return this.#emitter.on(type, listener);
  }

  /** Counters and neighbours, as they are now. */
  stats(): ClientStats {
    const { peer, links, clockOffsetUs } = this.#driver;
    const channels = [...this.#subscriptions.keys()].map((channel) => channelStats(peer, channel));
    return {
      peer: this.#peer,
      server: this.#driver.server,
      reconnects: Math.max(0, this.#sessions - 1),
      clockOffsetUs,
      resting: this.#manners?.resting,
      childrenMax: this.#childrenMax,
      links: links.size,
      connections: links.connections,
      connectionsOpened: links.connectionsOpened,
      channels,
      ...peer.stats(),
    };
  }

  /** Says goodbye to the peers and the server. Subscriptions end, without an error. */
  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#end();
    for (const subscription of [...this.#subscriptions.values()]) subscription.unsubscribe();
    this.#driver.end();
  }

  /** Nothing around the page matters any more, and nothing is said but that the client is closed. */
  #end(): void {
    this.#closed.abort();
    this.#manners?.end();
  }

  #watch(surroundings: Surroundings | undefined): Manners | undefined {
    if (surroundings === undefined) return undefined;
    const { relay, hiddenAfterMs } = this.#relays;
    const offer = (): void => {
      this.#offer();
    };
    const manners = relay === "polite" ? new Manners(surroundings, hiddenAfterMs, offer) : undefined;
    const listener = {
      changed: () => {
        // A page that nobody looks at may be ended without another word.
        this.#flush();
        manners?.look();
      },
      // A page that is gone looks to its neighbours like one that crashed, unless it says goodbye.
      left: () => {
        this.#flush();
        this.#driver.stop(true);
      },
      returned: () => {
        this.#driver.start();
      },
    };
    surroundings.watch(listener, this.#closed.signal);
    return manners;
  }

  /** Says how many others the page can feed now. */
  #offer(): void {
    if (this.#closed.signal.aborted) return;
    this.#driver.handle({ type: "offer", childrenMax: this.#childrenMax });
  }

  get #childrenMax(): number {
    return this.#manners?.resting === undefined ? roomForChildren(this.#relays, this.#subscriptions.size) : 0;
  }

  #memory(channel: string, name: string | undefined): Memory | undefined {
    if (name === undefined) return undefined;
    const stores = this.#platform.openStores?.();
    if (stores === undefined) throw new Error("`remember` needs a page that may store something: leave it out here");
    return new Memory(stores, name, channel, (reason) => {
      this.#subscriptions.get(channel)?.say({ kind: "not_remembered", reason });
    });
  }

  #flush(): void {
    for (const subscription of this.#subscriptions.values()) subscription.flush();
  }

  #onDisconnected(code: Code, reason: string, next: Attempt | undefined): void {
    this.#peer = undefined;
    if (next !== undefined) {
      this.#say({ kind: "disconnected", code, reason });
      this.#say({ kind: "reconnecting", ...next });
      return;
    }
    if (!mayReconnect(code)) this.#fail(new SubscriptionError(code, reason));
    this.#say({ kind: "closed", code, reason });
  }

  #fail(error: SubscriptionError): void {
    this.#end();
    this.#driver.end();
    for (const subscription of this.#subscriptions.values()) subscription.finish(error);
  }

  #onStatus(status: Status): void {
    switch (status.kind) {
      case "welcome":
        this.#peer = status.peer;
        this.#sessions++;
        this.#say({ kind: "connected", peer: status.peer, server: this.#driver.server ?? "" });
        break;
      case "subscribed": {
        const { channel, position, recovered } = status;
        this.#subscriptions.get(channel)?.say({ kind: "subscribed", position, recovered });
        break;
      }
      case "placed":
        this.#subscriptions.get(status.channel)?.say({ kind: "placed", tier: status.tier });
        break;
      case "parent":
        this.#subscriptions.get(status.channel)?.say({ kind: "parent", parent: status.parent });
        break;
      case "children":
        this.#subscriptions.get(status.channel)?.say({ kind: "children", count: status.count });
        break;
      case "refused":
        this.#onRefused(status.channel, status.code, status.reason);
        break;
      case "link_lost":
        this.#say({ kind: "link_lost", peer: status.other, code: status.code });
        break;
    }
  }

  #onRefused(channel: string | undefined, code: Code, reason: string): void {
    const subscription = channel === undefined ? undefined : this.#subscriptions.get(channel);
    if (channel === undefined || subscription === undefined) {
      this.#say({ kind: "refused", code, reason });
      return;
    }
    this.#subscriptions.delete(channel);
    this.#offer();
    subscription.finish(new SubscriptionError(code, reason));
    subscription.say({ kind: "refused", code, reason });
  }

  #say(status: ClientStatus): void {
    if (this.#closed.signal.aborted && status.kind !== "closed") return;
    this.#emitter.emit("status", status);
  }
}
