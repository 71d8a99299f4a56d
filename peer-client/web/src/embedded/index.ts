/** A server within one's own tests, and which events a piece of code emitted or received. For Node. */
export { type Position, formatPosition } from "../codec/position.js";
export { assertEvents, type ComparedEvent } from "./assert-events.js";
export { capture, type Captured } from "./capture.js";
export { Received } from "./received.js";
export { TestEvent } from "./test-event.js";
export { TestServer, type TestServerOptions } from "./test-server.js";
