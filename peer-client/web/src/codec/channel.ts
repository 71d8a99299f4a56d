/** A channel's name, and the number that stands for it in frames. */
import { CHANNEL_NAME_BYTES_MAX } from "./limits.js";
import { sha256 } from "./sha256.js";

/** A text that cannot name a channel. */
export class ChannelNameError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "ChannelNameError";
  override readonly name = "ChannelNameError";

  constructor(text: string) {
    super(`\`${text.slice(0, 64)}\` cannot name a channel: use 1 to 128 of A-Z a-z 0-9 . _ -`);
  }
}

const CHANNEL_NAME = new RegExp(`^[A-Za-z0-9._-]{1,${CHANNEL_NAME_BYTES_MAX}}$`);

/** Gives back a text that can name a channel; throws {@link ChannelNameError} on any other. */
export function parseChannelName(text: string): string {
  if (!CHANNEL_NAME.test(text)) throw new ChannelNameError(text);
  return text;
}

/** The number that stands for a channel: the first four bytes of SHA-256 of its name. */
export function channelId(name: string): number {
  const hash = sha256(new TextEncoder().encode(name));
  return new DataView(hash.buffer).getUint32(0);
}
