/** Families of messages: msgpack maps whose field `type` names the message. */
import { DecodeError, UnknownMessageError, tooLarge } from "./error.js";
import { CONTROL_BYTES_MAX, CONTROL_DEPTH_MAX } from "./limits.js";
import { MsgpackError, type MsgpackValue, TrailingBytesError, readMsgpack, writeMsgpack } from "./msgpack.js";
import { type Field, FieldError, mapOf, text, u53 } from "./schema.js";

/** No message comes near this. Strangers send messages, and three bytes are enough to claim a list's memory. */
const LIST_LENGTH_MAX = 256;
const LIMITS = { depth: CONTROL_DEPTH_MAX, arrayLength: LIST_LENGTH_MAX, refusesExtensions: false, takesFloats: false };

/** Writes and reads the messages of a family. */
export interface MessageFamily<T> {
  encode(message: T): Uint8Array;
  /** Throws {@link DecodeError}. */
  decode(bytes: Uint8Array): T;
}

/** The family of messages whose values of `type` are `types`. */
export function messageFamily<T>(schema: Field<T>, types: readonly string[]): MessageFamily<T> {
  return {
    encode: (message) => writeMsgpack(schema.write(message)),
    decode(bytes) {
      if (bytes.length > CONTROL_BYTES_MAX) throw tooLarge("message", bytes.length, CONTROL_BYTES_MAX);
      try {
        const value = readMsgpack(bytes, LIMITS);
        const map = mapOf(value);
        const type = text.read(map.get("type") ?? null);
        if (!types.includes(type)) throw new UnknownMessageError(type.slice(0, 64), idOf(map));
        return schema.read(value);
      } catch (error) {
        if (error instanceof TrailingBytesError) throw new DecodeError("trailing_bytes", error.message);
        if (error instanceof FieldError || error instanceof MsgpackError) {
          throw new DecodeError("bad_message", `bad message: ${error.message}`);
        }
        throw error;
      }
    },
  };
}

/** The `id` of a message of a type that nobody knows: whatever else it holds is not an id. */
function idOf(map: ReadonlyMap<string, MsgpackValue>): number | undefined {
  try {
    return u53.read(map.get("id") ?? null);
  } catch {
    return undefined;
  }
}
