/** The wire format: frames, heads, chunks, control and link messages. */
export * from "./channel.js";
export * from "./code.js";
export * from "./control.js";
export * from "./error.js";
export type { Event, HeaderTable, HeaderValue } from "./event.js";
export * from "./frame.js";
export * from "./head.js";
export * from "./item.js";
export * from "./limits.js";
export * from "./link-message.js";
export * from "./nack.js";
export * from "./pattern.js";
export * from "./pattern-set.js";
export * from "./position.js";
export type { IceServer, Signal } from "./signal.js";
export * from "./signature.js";
