/** Publishes events to a Tiercast server: for backends that tell what happened to what. */
export { ChannelNameError } from "../codec/channel.js";
export { EventNameError, eventName } from "../codec/event-name.js";
export { type Position, formatPosition } from "../codec/position.js";
export { EmitError, type EmitProblem } from "./emit-error.js";
export { type EmitOptions, Emitter } from "./emitter.js";
export type { NewEvent } from "./new-event.js";
