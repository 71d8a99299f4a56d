/** The pure core of a peer. */
export type { LogLimits, PeerConfig } from "./config.js";
export { type Child, Peer } from "./peer.js";
export { CommandError, type Input, type Output, type Status, type Target } from "./peer-types.js";
export type { Delivery } from "./reader.js";
export type { PeerStats } from "./stats.js";
