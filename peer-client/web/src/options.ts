/** What can be set, with units, defaults and bounds. */
import { parseChannelName } from "./codec/channel.js";
import { Pattern } from "./codec/pattern.js";
import { type Position, type Since, inRange, parseSince } from "./codec/position.js";
import { DEFAULT_CONFIG, type PeerConfig } from "./core/config.js";
import type { DriverSettings } from "./io/driver.js";
import { type Page, sessionUrl } from "./server-url.js";

/** Options of {@link connect}. */
export interface ConnectOptions {
  /**
   * Whether to take part in the mesh: to be fed by other peers and to feed others. Peers that are linked learn each
   * other's addresses; with `false` nobody but the server does, and the server feeds the page for good. Default:
   * true where the browser has WebRTC.
   */
  readonly relay?: boolean;
  /** Most peers to feed. 0: be fed by others, feed nobody. Default 4, at most 64. */
  readonly maxChildren?: number;
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
}

const CLIENT = "tiercast-peer-web/0.1.0";

/** @internal */
export function driverSettings(url: string | URL, options: ConnectOptions, hasWebRtc: boolean): DriverSettings {
  const { iceServers = [], iceTransportPolicy = "all", client = CLIENT } = options;
  const childrenMax = within("maxChildren", options.maxChildren ?? 4, 0, 64);
  const logBytes = within("logBytes", options.logBytes ?? DEFAULT_CONFIG.log.bytes, 64 << 10, 256 << 20);
  const relays = (options.relay ?? true) && hasWebRtc;
  const config: PeerConfig = {
    ...DEFAULT_CONFIG,
    client: client.slice(0, 128),
    relay: relays ? { node: "browser", children_max: childrenMax } : undefined,
    log: { ...DEFAULT_CONFIG.log, bytes: logBytes },
  };
  const page: Page = "location" in globalThis ? globalThis.location : undefined;
  return { url: sessionUrl(url, page).href, config, iceServers, iceTransportPolicy };
}

/** @internal */
export interface SubscribeSettings {
  readonly channel: string;
  readonly since: Since;
  readonly patterns: readonly Pattern[];
}

/** @internal */
export function subscribeSettings(channel: string, options: SubscribeOptions): SubscribeSettings {
  const { since = "now", match = [] } = options;
  if (typeof since !== "string" && !inRange(since)) throw new RangeError("`since` is not a position");
  const texts = typeof match === "string" ? [match] : match;
  return {
    channel: parseChannelName(channel),
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
