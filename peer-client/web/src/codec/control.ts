/** Control messages between a peer and the hub. Names and order of fields are those on the wire. */
import { channelName, code, position, publicKey, since, token, windowBytes } from "./fields.js";
import { LIVING_LINKS_MAX } from "./limits.js";
import { type MessageFamily, messageFamily } from "./message.js";
import {
  type Of,
  boolean,
  integer,
  intervalMs,
  list,
  oneOf,
  optional,
  struct,
  tagged,
  text,
  u16,
  u32,
  u53,
  waitMs,
  withDefault,
} from "./schema.js";
import { iceServer, signal } from "./signal.js";

/** A link of a `subscribe`. */
export type LivingLink = NonNullable<Extract<ToHub, { type: "subscribe" }>["links"]>[number];

/** The protocol version that `hello` names. */
export const PROTOCOL_VERSION = 1;

const ping = { time_us: u53 };
const pong = { time_us: u53 };
const signalMessage = { link: u53, signal };

/** A link that outlived the session in which it was set up: the other end, and what that is to this one. */
const livingLink = { link: u53, peer: u53, role: oneOf("parent", "standby", "child", "held"), token } as const;
/** What a peer does for others. */
const relay = { node: oneOf("browser", "native"), children_max: u16 };

const toHubVariants = {
  /** First message of a session. `resume`: who the peer was in an earlier session. */
  hello: { id: u53, protocol: u32, client: text, resume: optional(struct({ peer: u53, token })) },
  /**
   * Asks for a channel. The server runs ahead of what it heard by `window_bytes` of frames. Without `relay` the peer
   * takes no part in the mesh and the server feeds it.
   */
  subscribe: {
    id: u53,
    channel: channelName,
    since: withDefault(since, "now"),
    window_bytes: windowBytes,
    relay: optional(struct(relay)),
    /** The links of the channel that outlived the session in which they were set up. */
    links: optional(list(struct(livingLink), LIVING_LINKS_MAX)),
  },
  /** Ends a subscription. */
  unsubscribe: { id: u53, channel: channelName },
  /** Says that the peer can do more for others from now on, or less, in all its channels. */
  relay,
  /** Asks the server to feed a subscription from a position on, because its parent (on `link`) cannot. */
  feed: { channel: channelName, position, window_bytes: windowBytes, link: optional(u53), code },
  /** Says that the parent on `link` feeds the subscription now, so that the server may stop. */
  fed: { channel: channelName, link: u53 },
  /** Asks the server for what it has beyond a position, once; who feeds the subscription goes on doing so. */
  pull: { channel: channelName, position },
  /** Says how far a subscription is, so that the server may send more. */
  at: { channel: channelName, position },
  /** A step of the negotiation of a link, for the other end. */
  signal: signalMessage,
  /** Says that a link is gone, and why. */
  report: { link: u53, code },
  ping,
  pong,
} as const;

const toPeerVariants = {
  /**
   * Answers `hello`: this session, the peer's name in the tree, the server's clock, the keys that sign. A channel without
   * frames says every `head_ms` how far it is.
   */
  welcome: {
    id: u53,
    session: u53,
    peer: u53,
    resume: token,
    server_time_us: u53,
    keys: list(publicKey),
    heartbeat_ms: intervalMs,
    head_ms: intervalMs,
    ice_servers: list(iceServer),
  },
  /** Answers `subscribe`: where the subscription starts, and the newest offset. */
  subscribed: {
    id: u53,
    channel: channelName,
    channel_id: u32,
    position,
    head: integer(-1, Number.MAX_SAFE_INTEGER),
    recovered: boolean,
  },
  /** Answers `unsubscribe`. */
  unsubscribed: { id: u53, channel: channelName },
  /**
   * Gives a peer its parent, or one that stands by while another one feeds the peer. `via`: another link between the two,
   * whose connection this one is to share.
   */
  assign: {
    channel: channelName,
    link: u53,
    parent: u53,
    token,
    offers: boolean,
    standby: boolean,
    via: optional(u53),
  },
  /** Announces a child to a parent. */
  expect: { channel: channelName, link: u53, child: u53, token, offers: boolean, via: optional(u53) },
  /** A peer's place: 1 fed by the server, n by a peer of tier n - 1, 0 fed by the server and relaying nothing. */
  place: { channel: channelName, tier: u32 },
  /** A step of the negotiation of a link, from the other end. */
  signal: signalMessage,
  /** Ends a link: the other end is gone, or the hub changed the tree. */
  lost: { link: u53, code },
  /** The session of the other end of a link has ended: does the link live? */
  away: { link: u53 },
  /** Events that are gone for good. */
  gap: { channel: channelName, from: position, to: position, reason: oneOf("retention", "epoch", "source") },
  /** Answers a request that failed, or a message that was ignored. */
  error: { id: optional(u53), code, reason: text, retry_after_ms: optional(waitMs) },
  ping,
  pong,
} as const;

const toHub = tagged("type", toHubVariants);
const toPeer = tagged("type", toPeerVariants);

/** What a peer says to the hub. */
export type ToHub = Of<typeof toHub>;
/** What the hub says to a peer. */
export type ToPeer = Of<typeof toPeer>;

export const ToHub: MessageFamily<ToHub> = messageFamily(toHub, Object.keys(toHubVariants));
export const ToPeer: MessageFamily<ToPeer> = messageFamily(toPeer, Object.keys(toPeerVariants));
