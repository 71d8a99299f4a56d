/**
 * The browser peer of Tiercast: receives an event stream over WebSocket and WebRTC, verifies it, delivers it in order
 * and once, and passes it on to other peers.
 */
import { Client } from "./client.js";
import { browserPlatform } from "./io/platform.js";
import type { ConnectOptions, ServerUrls } from "./options.js";

export { Client, type ClientStatus } from "./client.js";
export { ChannelNameError } from "./codec/channel.js";
export { Code, codeName } from "./codec/code.js";
export type { Event, HeaderTable, HeaderValue } from "./codec/event.js";
export { PatternError } from "./codec/pattern.js";
export { type GapReason, type Position, PositionError, formatPosition, parsePosition } from "./codec/position.js";
export { ConnectError } from "./connect-error.js";
export { CommandError } from "./core/command-error.js";
export type { Child } from "./core/stats.js";
export { BodyError, EventNotification, type GapNotification, type Notification } from "./notification.js";
export type { Resting } from "./io/manners.js";
export type { ConnectOptions, Relaying, ServerUrls, SubscribeOptions } from "./options.js";
export type { ChannelStats, ClientStats } from "./stats.js";
export {
  type StatusNotification,
  Subscription,
  SubscriptionError,
  type SubscriptionStatus,
} from "./subscription.js";

/**
 * Connects to a server, and stays connected until `close`. Of several it uses one at a time, at first any of them, and turns
 * to another one when it cannot reach that or is sent away; where they have the same streams nothing is lost or repeated.
 *
 * A server's address may be a path of the page's own server; `http` and `https` mean `ws` and `wss`, and without a path `/v1/ws` is
 * meant. Throws {@link ConnectError} if nothing can be reached by it, `RangeError` for an option out of bounds and
 * `TypeError` for one that there is none of.
 */
export function connect(servers: ServerUrls, options: ConnectOptions = {}): Client {
  return new Client(servers, options, browserPlatform());
}
