/** Link messages between parent and child, beside frames and heads. */
import { code, position, token, windowBytes } from "./fields.js";
import { type MessageFamily, messageFamily } from "./message.js";
import { type Of, boolean, tagged, u32, u53 } from "./schema.js";

const variants = {
  /**
   * The child's first message: who it is, from where on it wants frames, how far the parent may run ahead, and whether it
   * is to send no frames until `send`.
   */
  join: { token, channel: u32, position, window_bytes: windowBytes, hold: boolean },
  /** The parent's answer: how far it is itself. A child that has reached this is fed by the link. */
  joined: { position },
  /** Says how far the child is. The parent stays within a window beyond it. */
  at: { position },
  /** Says how far a parent is that sends nothing because the child holds it. */
  have: { position },
  /** The child wants frames from here on. */
  send: { position },
  /** The child wants no frames for now. */
  hold: {},
  /** The last message before a link is closed. */
  bye: { code },
  /** Asks for a `pong`. */
  ping: { time_us: u53 },
  /** Answers a `ping`. */
  pong: { time_us: u53 },
} as const;

const linkMessage = tagged("type", variants);

/** What peers say to each other on a link. */
export type LinkMessage = Of<typeof linkMessage>;

export const LinkMessage: MessageFamily<LinkMessage> = messageFamily(linkMessage, Object.keys(variants));
