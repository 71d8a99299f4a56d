/**
 * Reads msgpack. Written for this format: strict UTF-8, integers that keep their value, a depth limit,
 * and no memory reserved on the word of a length.
 */

/** What msgpack can hold here. Integers beyond 2^53 - 1 are bigints; extension types are refused. */
export type MsgpackValue =
  | null
  | boolean
  | number
  | bigint
  | MsgpackFloat
  | string
  | Uint8Array
  | readonly MsgpackValue[]
  | ReadonlyMap<string, MsgpackValue>;

/** A floating point number: apart from the integers, as where one of those is expected this is none. */
export class MsgpackFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** Bytes that are not msgpack as this format allows it. */
export class MsgpackError extends Error {
  override readonly name = "MsgpackError";
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Up to this length, text is read byte by byte: faster than TextDecoder when it is ASCII. */
const SHORT_TEXT_BYTES = 32;

const LENGTH_WIDTHS = [1, 2, 4] as const;

/** A cursor over msgpack bytes. Byte strings it gives are views, not copies. */
export class MsgpackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #depthLeft: number;

  constructor(bytes: Uint8Array, depthMax: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#depthLeft = depthMax;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Reads one value. */
  value(): MsgpackValue {
    const marker = this.#byte();
    if (marker <= 0x7f) return marker;
    if (marker <= 0x8f) return this.#map(marker & 0x0f);
    if (marker <= 0x9f) return this.#array(marker & 0x0f);
    if (marker <= 0xbf) return this.#text(marker & 0x1f);
    if (marker >= 0xe0) return marker - 0x100;
    return this.#marked(marker);
  }

  #marked(marker: number): MsgpackValue {
    switch (marker) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#take(this.#length(marker - 0xc4));
      case 0xca:
        return new MsgpackFloat(this.#view.getFloat32(this.#skip(4)));
      case 0xcb:
        return new MsgpackFloat(this.#view.getFloat64(this.#skip(8)));
      case 0xcc:
        return this.#byte();
      case 0xcd:
        return this.#view.getUint16(this.#skip(2));
      case 0xce:
        return this.#view.getUint32(this.#skip(4));
      case 0xcf:
        return exact(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return exact(this.#view.getBigInt64(this.#skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#length(marker - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#length(marker - 0xdb));
      case 0xde:
      case 0xdf:
        return this.#map(this.#length(marker - 0xdd));
      default:
        throw new MsgpackError(`marker 0x${marker.toString(16)} is not allowed`);
    }
  }

  #array(length: number): MsgpackValue[] {
    this.#enter(length);
    const items: MsgpackValue[] = [];
    for (let i = 0; i < length; i++) items.push(this.value());
    this.#depthLeft++;
    return items;
  }

  #map(length: number): Map<string, MsgpackValue> {
    this.#enter(length);
    const entries = new Map<string, MsgpackValue>();
    for (let i = 0; i < length; i++) {
      const key = this.value();
      if (typeof key !== "string") throw new MsgpackError("a key is not text");
      entries.set(key, this.value());
    }
    this.#depthLeft++;
    return entries;
  }

  /** Goes one level deeper. Every item takes a byte at least, so a longer length is a lie. */
  #enter(length: number): void {
    if (this.#depthLeft === 0) throw new MsgpackError("nested too deeply");
    if (length > this.#bytes.length - this.#at) throw new MsgpackError("ends too early");
    this.#depthLeft--;
  }

  #text(length: number): string {
    const bytes = this.#take(length);
    if (length <= SHORT_TEXT_BYTES) {
      let text = "";
      for (const byte of bytes) {
        if (byte > 0x7f) return decodeText(bytes);
        text += String.fromCharCode(byte);
      }
      return text;
    }
    return decodeText(bytes);
  }

  /** A length of 1, 2 or 4 bytes. */
  #length(width: number): number {
    const bytes = LENGTH_WIDTHS[width];
    if (bytes === 1) return this.#byte();
    return bytes === 2 ? this.#view.getUint16(this.#skip(2)) : this.#view.getUint32(this.#skip(4));
  }

  #byte(): number {
    return this.#bytes[this.#skip(1)] ?? 0;
  }

  #take(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Passes over `length` bytes and says where they begin. */
  #skip(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw new MsgpackError("ends too early");
    this.#at = start + length;
    return start;
  }
}

function decodeText(bytes: Uint8Array): string {
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
