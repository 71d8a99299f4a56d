/** Families of messages: msgpack maps whose field `type` names the message. */
import { DecodeError, UnknownMessageError, tooLarge } from "./error.js";
import { CONTROL_BYTES_MAX, CONTROL_DEPTH_MAX } from "./limits.js";
import { MsgpackError, MsgpackReader, type MsgpackValue } from "./msgpack-reader.js";
import { MsgpackWriter } from "./msgpack-writer.js";
import { type Field, FieldError, mapOf, text, u53 } from "./schema.js";

/** Writes and reads the messages of a family. */
export interface MessageFamily<T> {
  encode(message: T): Uint8Array;
  /** Throws {@link DecodeError}. */
  decode(bytes: Uint8Array): T;
}

/** The family of messages whose values of `type` are `types`. */
export function messageFamily<T>(schema: Field<T>, types: readonly string[]): MessageFamily<T> {
  return {
    encode(message) {
      const writer = new MsgpackWriter();
      schema.write(writer, message);
      return writer.finish();
    },
    decode(bytes) {
      if (bytes.length > CONTROL_BYTES_MAX) throw tooLarge("message", bytes.length, CONTROL_BYTES_MAX);
      try {
        const value = readWhole(bytes);
        const map = mapOf(value);
        const type = text.read(map.get("type") ?? null);
        const id = map.get("id") ?? null;
        const requestId = id === null ? undefined : u53.read(id);
        if (!types.includes(type)) throw new UnknownMessageError(type.slice(0, 64), requestId);
        return schema.read(value);
      } catch (error) {
        if (error instanceof FieldError || error instanceof MsgpackError) {
          throw new DecodeError("bad_message", `bad message: ${error.message}`);
        }
        throw error;
      }
    },
  };
}

function readWhole(bytes: Uint8Array): MsgpackValue {
  const reader = new MsgpackReader(bytes, CONTROL_DEPTH_MAX);
  const value = reader.value();
  if (!reader.isAtEnd) throw new DecodeError("trailing_bytes", "bytes after the end of the message");
  return value;
}
