/** Signaling between two peers that the hub has paired: what WebRTC needs to connect them. */
import { type Of, list, optional, struct, tagged, text } from "./schema.js";

export const signal = tagged("kind", {
  /** The offerer's session description. */
  offer: { sdp: text },
  /** The answerer's session description. */
  answer: { sdp: text },
  /** One ICE candidate: its line without `a=`, and its media section, "0". */
  candidate: { candidate: text, mid: text },
});

/** One step of a WebRTC negotiation. */
export type Signal = Of<typeof signal>;

export const iceServer = struct({ urls: list(text), username: optional(text), credential: optional(text) });

/** A STUN or TURN server, as WebRTC names it. */
export type IceServer = Of<typeof iceServer>;
