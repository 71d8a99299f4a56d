/** Writes msgpack, each value in its shortest form, byte for byte as the server does. */

const utf8 = new TextEncoder();

/** A growing buffer of msgpack. */
export class MsgpackWriter {
  #bytes = new Uint8Array(128);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** A copy of what was written so far. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  nil(): void {
    this.#byte(0xc0);
  }

  boolean(value: boolean): void {
    this.#byte(value ? 0xc3 : 0xc2);
  }

  /** An integer of at most 2^53 - 1. */
  integer(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not an integer below 2^53`);
    if (value >= 0) this.#unsigned(value);
    else this.#negative(value);
  }

  text(value: string): void {
    const bytes = utf8.encode(value);
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else this.#length(0xd9, bytes.length);
    this.#put(bytes);
  }

  bytes(value: Uint8Array): void {
    this.#length(0xc4, value.length);
    this.#put(value);
  }

  /** Begins an array; `length` values follow. */
  array(length: number): void {
    if (length < 16) this.#byte(0x90 | length);
    else this.#longLength(0xdc, length);
  }

  /** Begins a map; `length` keys follow, each with its value. */
  map(length: number): void {
    if (length < 16) this.#byte(0x80 | length);
    else this.#longLength(0xde, length);
  }

  #unsigned(value: number): void {
    if (value < 0x80) this.#byte(value);
    else if (value < 0x100) this.#view.setUint8(this.#marked(0xcc, 1), value);
    else if (value < 0x1_0000) this.#view.setUint16(this.#marked(0xcd, 2), value);
    else if (value < 0x1_0000_0000) this.#view.setUint32(this.#marked(0xce, 4), value);
    else this.#view.setBigUint64(this.#marked(0xcf, 8), BigInt(value));
  }

  #negative(value: number): void {
    if (value >= -0x20) this.#byte(0x100 + value);
    else if (value >= -0x80) this.#view.setInt8(this.#marked(0xd0, 1), value);
    else if (value >= -0x8000) this.#view.setInt16(this.#marked(0xd1, 2), value);
    else if (value >= -0x8000_0000) this.#view.setInt32(this.#marked(0xd2, 4), value);
    else this.#view.setBigInt64(this.#marked(0xd3, 8), BigInt(value));
  }

  /** A length in 1, 2 or 4 bytes, after the marker for its width. */
  #length(marker: number, length: number): void {
    if (length < 0x100) this.#view.setUint8(this.#marked(marker, 1), length);
    else this.#longLength(marker + 1, length);
  }

  /** A length in 2 or 4 bytes, after the marker for its width. */
  #longLength(marker: number, length: number): void {
    if (length < 0x1_0000) this.#view.setUint16(this.#marked(marker, 2), length);
    else this.#view.setUint32(this.#marked(marker + 1, 4), length);
  }

  #byte(value: number): void {
    this.#view.setUint8(this.#reserve(1), value);
  }

  /** Writes a marker and makes room for `length` bytes after it, whose place it returns. */
  #marked(marker: number, length: number): number {
    this.#byte(marker);
    return this.#reserve(length);
  }

  #put(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  #reserve(length: number): number {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#at, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}
