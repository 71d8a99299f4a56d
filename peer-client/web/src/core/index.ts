/** The pure core of a peer. */
export { CommandError } from "./command-error.js";
export type { LogLimits, PeerConfig } from "./config.js";
export { Peer } from "./peer.js";
export type { Input, Output, Status, Target, Verification } from "./peer-types.js";
export type { Delivery } from "./reader.js";
export type { Child, PeerStats } from "./stats.js";
