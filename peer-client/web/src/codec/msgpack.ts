/**
 * Reads and writes msgpack with @msgpack/msgpack, and refuses what the library takes and this format does not: text
 * that is not UTF-8, extension types in events, floats in messages, keys that are not text, deep nesting.
 */
import { type DecoderOptions, Encoder, type ExtensionCodecType, decodeMulti } from "@msgpack/msgpack";
import { isFloat, tokenBytes } from "./tokens.js";

/*! @msgpack/msgpack - ISC License (c) 2019 The MessagePack Community */

/**
 * What msgpack can hold here. Integers beyond 2^53 - 1 are bigints. Where floats are taken, one without a fraction is
 * the same as an integer.
 */
export type MsgpackValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly MsgpackValue[]
  | ReadonlyMap<string, MsgpackValue>;

/** Bytes that are not msgpack as this format allows it. */
export class MsgpackError extends Error {
  override readonly name: string = "MsgpackError";
}

/** A value that is followed by more bytes. */
export class TrailingBytesError extends MsgpackError {
  override readonly name = "TrailingBytesError";

  constructor() {
    super("bytes after the end");
  }
}

/** How much is read. */
export interface MsgpackLimits {
  /** Deepest nesting of arrays and maps. */
  readonly depth: number;
  /** Longest array: the library reserves its memory before it has seen an item. */
  readonly arrayLength: number;
  /** Whether values of extension types are refused. If not they are NaN, which is nothing that a field can hold. */
  readonly refusesExtensions: boolean;
  /** Whether floats are numbers. If not they are NaN, too, so that none is taken for an integer. */
  readonly takesFloats: boolean;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ASCII = /^\p{ASCII}*$/u;
const encoder = new Encoder();

/** Stands before each key while it is a property's name: the library refuses the key `__proto__`. */
const KEY_PREFIX = ":";

const STRICT: DecoderOptions = {
  useBigInt64: true,
  keyDecoder: {
    canBeCached: () => true,
    decode: (bytes, start, length) => KEY_PREFIX + utf8.decode(bytes.subarray(start, start + length)),
  },
  mapKeyConverter(key) {
    if (typeof key !== "string") throw new MsgpackError("a key is not text");
    return key;
  },
};

const REFUSES_EXTENSIONS: ExtensionCodecType<undefined> = {
  tryToEncode: () => null,
  decode(_, type) {
    throw new MsgpackError(`extension type ${type} is not allowed`);
  },
};
const IGNORES_EXTENSIONS: ExtensionCodecType<undefined> = { tryToEncode: () => null, decode: () => NaN };

/** Gives what plain objects, arrays and values are in msgpack, each in its shortest form. */
export function writeMsgpack(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/** Reads the one value that `source` is. Byte strings in it are views, not copies. Throws {@link MsgpackError}. */
export function readMsgpack(source: Uint8Array, limits: MsgpackLimits): MsgpackValue {
  const { depth, arrayLength, refusesExtensions, takesFloats } = limits;
  const bytes = takesFloats ? source : withoutFloats(source);
  const extensionCodec = refusesExtensions ? REFUSES_EXTENSIONS : IGNORES_EXTENSIONS;
  const options = { ...STRICT, extensionCodec, maxArrayLength: Math.min(arrayLength, bytes.length) };
  // The library decodes text leniently; what is text and what are its bytes is read separately.
  const typed = decodeMulti(bytes, options);
  const raw = decodeMulti(bytes, { ...options, rawStrings: true });
  const value = strictValue(next(typed), next(raw), depth);
  if (!isAtEnd(raw)) throw new TrailingBytesError();
  return value;
}

/** The same, with a value of an extension type (ext 8), which is as long, in the place of each float. */
function withoutFloats(source: Uint8Array): Uint8Array {
  let bytes = source;
  for (let at = 0; at < source.length; at += tokenBytes(source, at)) {
    if (!isFloat(source, at)) continue;
    if (bytes === source) bytes = source.slice();
    bytes[at] = 0xc7;
    bytes[at + 1] = tokenBytes(source, at) - 3;
  }
  return bytes;
}

type Values = Generator<unknown, void, unknown>;

function next(values: Values): unknown {
  try {
    const { done, value } = values.next();
    if (done !== true) return value;
  } catch (error) {
    throw new MsgpackError(String(error));
  }
  throw new MsgpackError("nothing");
}

function isAtEnd(values: Values): boolean {
  try {
    return values.next().done === true;
  } catch {
    return false;
  }
}

/** Makes a value strict that the library has read twice: with text as it takes it, and with text as bytes. */
function strictValue(value: unknown, raw: unknown, depthLeft: number): MsgpackValue {
  if (typeof value === "string") return strictText(value, raw as Uint8Array);
  if (typeof value === "bigint") return exact(value);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value as MsgpackValue;
  if (depthLeft === 0) throw new MsgpackError("nested too deeply");
  if (Array.isArray(value)) {
    const rawItems = raw as unknown[];
    return value.map((item, index) => strictValue(item, rawItems[index], depthLeft - 1));
  }
  const rawMap = raw as Record<string, unknown>;
  return new Map(
    Object.entries(value).map(([key, item]) => [
      key.slice(KEY_PREFIX.length),
      strictValue(item, rawMap[key], depthLeft - 1),
    ]),
  );
}

function strictText(lenient: string, bytes: Uint8Array): string {
  // One character for each byte, and all of them ASCII: nothing to be strict about, and much faster.
  if (lenient.length === bytes.length && ASCII.test(lenient)) return lenient;
  try {
    return utf8.decode(bytes);
  } catch {
    throw new MsgpackError("text is not UTF-8");
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
