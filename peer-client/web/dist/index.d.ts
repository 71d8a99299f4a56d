/**
 * The browser peer of Tiercast: receives an event stream over WebSocket and WebRTC, verifies it, delivers it in order
 * and once, and passes it on to other peers.
 */
import { Client } from "./client.js";
import type { ConnectOptions } from "./options.js";
export { Client, type ClientStatus } from "./client.js";
export { ChannelNameError } from "./codec/channel.js";
export { Code, codeName } from "./codec/code.js";
export type { Event, HeaderTable, HeaderValue } from "./codec/event.js";
export { PatternError } from "./codec/pattern.js";
export { type GapReason, type Position, PositionError, formatPosition, parsePosition } from "./codec/position.js";
export { CommandError } from "./core/command-error.js";
export type { Child } from "./core/stats.js";
export type { ConnectOptions, SubscribeOptions } from "./options.js";
export type { ChannelStats, ClientStats } from "./stats.js";
export { type EventNotification, type GapNotification, type Notification, type StatusNotification, Subscription, SubscriptionError, type SubscriptionStatus, } from "./subscription.js";
/**
 * Connects to a server, and stays connected until `close`.
 *
 * `url` may be relative to the page; `http` and `https` mean `ws` and `wss`, and without a path `/v1/ws` is meant.
 */
export declare function connect(url: string | URL, options?: ConnectOptions): Client;
