/** What can be set, with units, defaults and bounds. */
import { parseChannelName } from "./codec/channel.js";
import { Pattern } from "./codec/pattern.js";
import { type Position, type Since, inRange, parseSince } from "./codec/position.js";
import { ConnectError } from "./connect-error.js";
import { DEFAULT_CONFIG, type PeerConfig } from "./core/config.js";
import type { DriverSettings } from "./io/driver.js";
import { type Names, checkNames } from "./names.js";
import { type Page, sessionUrl } from "./server-url.js";

/** What a page does for others: see {@link ConnectOptions.relay}. */
export type Relaying = "always" | "polite" | "never";

/** Where servers are: one, or several of which one at a time is used. */
export type ServerUrls = string | URL | readonly (string | URL)[];

/** Options of {@link connect}. */
export interface ConnectOptions {
  /**
   * Whether to take part in the mesh: to be fed by other peers and to feed others. `polite`: feeds nobody while the page
   * is hidden or its line metered. `always`: then, too. `never`: peers that are linked learn each other's addresses; so
   * nobody but the server learns the page's, and the server feeds it for good. Default `polite`; `never` where the browser
   * has no WebRTC.
   */
  readonly relay?: Relaying;
  /** Most peers to feed, per channel. 0: be fed by others, feed nobody. Default 4, at most 64. */
  readonly maxChildren?: number;
  /**
   * Most connections to other peers at a time. Each channel has three of them for those who feed the page, and an equal
   * share of the others for those whom the page feeds. Default 8, 1 to 256.
   */
  readonly maxConnections?: number;
  /** A polite page that has been hidden for so long gives back those whom it feeds. Default 10 s, at most an hour. */
  readonly hiddenAfterMs?: number;
  /**
   * Most bytes of frames kept per channel, for children and for an application that is slow. When it is half full of
   * what the application has not taken, whoever feeds the page waits until it has. Default 4 MiB, 64 KiB to 256 MiB.
   */
  readonly logBytes?: number;
  /** STUN and TURN servers besides those that the server names. Default: none. */
  readonly iceServers?: readonly RTCIceServer[];
  /** `relay`: connect to other peers through TURN servers only, so that they do not learn our address. Default `all`. */
  readonly iceTransportPolicy?: RTCIceTransportPolicy;
  /** Program and version, for the server's operator; at most 128 characters. Default: this library's. */
  readonly client?: string;
  /**
   * Whether a Web Worker verifies, inflates and decodes what comes in, which keeps a page free that is busy. True: its script,
   * `tiercast-worker.js`, lies beside that of this library; a URL: there. Where there is no worker the page does it, and the
   * status `no_worker` says why. Default: no.
   */
  readonly worker?: boolean | string | URL;
  /** Closes the client when it is aborted. */
  readonly signal?: AbortSignal;
}

const CONNECT_OPTIONS = {
  relay: true,
  maxChildren: true,
  maxConnections: true,
  hiddenAfterMs: true,
  logBytes: true,
  iceServers: true,
  iceTransportPolicy: true,
  client: true,
  worker: true,
  signal: true,
} satisfies Names<ConnectOptions>;

/** Refuses options that there are none of. @internal */
export function checkConnectOptions(options: ConnectOptions): void {
  checkNames(options, CONNECT_OPTIONS, "`connect` has no option");
}

/** Options of {@link Client.subscribe}. */
export interface SubscribeOptions {
  /**
   * Where to start: `now`, what is published from now on; `earliest`, everything that the server retains; or a
   * position, everything after it, as an object or as the text `<epoch>-<offset>`. Default `now`.
   */
  readonly since?: "now" | "earliest" | Position | (string & {});
  /**
   * AMQP topic patterns of the routing keys wanted: words between dots, `*` is one word, `#` any number of words.
   * Applied here, at delivery. Default: all events.
   */
  readonly match?: string | readonly string[];
  /**
   * A name, under which the browser keeps how far the application is. A page that is loaded again, or opened again later,
   * goes on there, and at `since` only the first time. See the README for several tabs. Default: nothing is kept.
   */
  readonly remember?: string;
  /** Ends the subscription when it is aborted; loops end, without an error. */
  readonly signal?: AbortSignal;
}

const SUBSCRIBE_OPTIONS = { since: true, match: true, remember: true, signal: true } satisfies Names<SubscribeOptions>;

/** Refuses options that there are none of. @internal */
export function checkSubscribeOptions(options: SubscribeOptions): void {
  checkNames(options, SUBSCRIBE_OPTIONS, "`subscribe` has no option");
}

const CLIENT = "tiercast-peer-web/0.1.0";

/** So many connections of each channel are for those who feed the page: its parent, its standby, and the next parent. */
const PARENTS = 3;

/** How many children a page has room for in each of its channels. @internal */
export function roomForChildren({ relay, maxChildren, maxConnections }: RelaySettings, channels: number): number {
  if (relay === "never") return 0;
  const shared = Math.floor((maxConnections - PARENTS * channels) / Math.max(1, channels));
  return Math.min(maxChildren, Math.max(0, shared));
}

/** @internal */
export interface RelaySettings {
  readonly relay: Relaying;
  readonly maxChildren: number;
  readonly maxConnections: number;
  readonly hiddenAfterMs: number;
}

/** @internal */
export function relaySettings(options: ConnectOptions, hasWebRtc: boolean): RelaySettings {
  const { relay = "polite", maxChildren = 4, maxConnections = 8, hiddenAfterMs = 10_000 } = options;
  if (!["always", "polite", "never"].includes(relay)) {
    throw new RangeError(`\`relay\` is ${relay}: expected "always", "polite" or "never"`);
  }
  return {
    relay: hasWebRtc ? relay : "never",
    maxChildren: within("maxChildren", maxChildren, 0, 64),
    maxConnections: within("maxConnections", maxConnections, 1, 256),
    hiddenAfterMs: within("hiddenAfterMs", hiddenAfterMs, 0, 3_600_000),
  };
}

/** @internal */
export function driverSettings(servers: ServerUrls, options: ConnectOptions, relays: RelaySettings): DriverSettings {
  const { iceServers = [], iceTransportPolicy = "all", client = CLIENT, worker = false } = options;
  const { relay, maxChildren, maxConnections } = relays;
  const logBytes = within("logBytes", options.logBytes ?? DEFAULT_CONFIG.log.bytes, 64 << 10, 256 << 20);
  const config: PeerConfig = {
    ...DEFAULT_CONFIG,
    client: client.slice(0, 128),
    relay: relay === "never" ? undefined : { node: "browser", children_max: maxChildren },
    log: { ...DEFAULT_CONFIG.log, bytes: logBytes },
  };
  const page: Page = "location" in globalThis ? globalThis.location : undefined;
  const given = typeof servers === "string" || servers instanceof URL ? [servers] : servers;
  const urls = given.map((url) => sessionUrl(url, page).href);
  if (urls.length === 0) throw new ConnectError("bad_url", "no server is named");
  return { urls, config, iceServers, iceTransportPolicy, maxConnections, worker };
}

/** @internal */
export interface SubscribeSettings {
  readonly since: Since;
  readonly patterns: readonly Pattern[];
}

/** @internal */
export function subscribeSettings(channel: string, options: SubscribeOptions): SubscribeSettings {
  const { since = "now", match = [] } = options;
  if (typeof since !== "string" && !inRange(since)) throw new RangeError("`since` is not a position");
  const texts = typeof match === "string" ? [match] : match;
  parseChannelName(channel);
  return {
    since: typeof since === "string" ? parseSince(since) : since,
    patterns: texts.map((text) => new Pattern(text)),
  };
}

function within(name: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`\`${name}\` is ${value}: expected an integer from ${min} to ${max}`);
  }
  return value;
}
