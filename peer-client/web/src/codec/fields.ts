/** The fields that several messages have in common. */
import { parseChannelName } from "./channel.js";
import { BEFORE_FIRST, type Position, type Since, formatSince, parseSince } from "./position.js";
import { type Field, fixedBytes, integer, parsedText, struct, u16, u53 } from "./schema.js";
import { PUBLIC_KEY_BYTES } from "./signature.js";

export const channelName: Field<string> = parsedText(parseChannelName, (name) => name);
export const position: Field<Position> = struct({
  epoch: u53,
  offset: integer(BEFORE_FIRST, Number.MAX_SAFE_INTEGER),
});
export const since: Field<Since> = parsedText(parseSince, formatSince);
export const code = u16;
/** How far a sender may run ahead of what it heard of its receiver, in bytes of frames. */
export const windowBytes = integer(1, 0xffff_ffff);
/** Shown once by a child to the parent that the hub gave it. */
export const token = fixedBytes(16);
export const publicKey = fixedBytes(PUBLIC_KEY_BYTES);
