/**
 * Inflates a zlib stream (RFC 1950, 1951) whose length is known beforehand.
 *
 * Never writes more than that length, and accepts nothing but a whole stream that ends where the input ends and
 * whose checksum matches: the same streams that the server's decoder accepts.
 */
import { DecodeError } from "./error.js";
import { FAST_MASK, HuffmanCode } from "./huffman.js";

const LENGTH_CODES = 286;
const DISTANCE_CODES = 30;
const END_OF_BLOCK = 256;
/** Where a code's range begins, and how many extra bits choose within it: lengths from symbol 257 on, distances. */
const LENGTH_EXTRA = Uint8Array.of(
  ...[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0],
);
const LENGTH_BASE = bases(LENGTH_EXTRA, 3);
LENGTH_BASE[28] = 258;
const DISTANCE_EXTRA = Uint8Array.from({ length: DISTANCE_CODES }, (_, code) => Math.max(0, (code >> 1) - 1));
const DISTANCE_BASE = bases(DISTANCE_EXTRA, 1);
/** The order in which the lengths of the code for lengths are sent. */
const LENGTHS_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const literals = new HuffmanCode(LENGTH_CODES + 2);
const distances = new HuffmanCode(DISTANCE_CODES + 2);
const lengthsOfLengths = new HuffmanCode(19);
const codeLengths = new Uint8Array(LENGTH_CODES + DISTANCE_CODES);

function bases(extra: Uint8Array, first: number): Uint16Array {
  let base = first;
  return Uint16Array.from(extra, (bits) => {
    const start = base;
    base += 1 << bits;
    return start;
  });
}

/** Gives the `length` bytes that `input` stands for; throws a {@link DecodeError} if it is not exactly as many. */
export function inflate(input: Uint8Array, length: number): Uint8Array {
  const [method = 0, flags = 0] = input;
  const isZlib = (method & 0x0f) === 8 && method >> 4 <= 7 && ((method << 8) | flags) % 31 === 0;
  if (!isZlib || (flags & 0x20) !== 0 || input.length < 8) throw bad("no zlib stream");
  const output = new Uint8Array(length);
  const end = new Inflater(input, 2, output).run();
  if (end !== input.length - 4) throw bad("the stream does not end with the payload");
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (view.getUint32(end) !== adler32(output)) throw bad("the checksum does not match");
  return output;
}

function bad(detail: string): DecodeError {
  return new DecodeError("bad_payload", `payload does not inflate to its stated length: ${detail}`);
}

function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (let start = 0; start < bytes.length; start += 3800) {
    const end = Math.min(bytes.length, start + 3800);
    for (let at = start; at < end; at++) {
      a += bytes[at]!;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}

class Inflater {
  readonly #input: Uint8Array;
  readonly #output: Uint8Array;
  #at: number;
  #written = 0;
  /** Bits read from the input and not used yet, lowest first. */
  #bits = 0;
  #bitCount = 0;

  constructor(input: Uint8Array, start: number, output: Uint8Array) {
    this.#input = input;
    this.#at = start;
    this.#output = output;
  }

  /** Inflates every block and says where the input goes on. */
  run(): number {
    let isLast = false;
    while (!isLast) {
      isLast = this.#take(1) === 1;
      this.#block(this.#take(2));
    }
    if (this.#written !== this.#output.length) throw bad("shorter than stated");
    return this.#at - (this.#bitCount >> 3);
  }

  #block(type: number): void {
    if (type === 0) {
      this.#stored();
      return;
    }
    if (type === 1) setFixedCodes();
    else if (type === 2) this.#readCodes();
    else throw bad("unknown type of block");
    this.#compressed();
  }

  #stored(): void {
    this.#take(this.#bitCount & 7);
    const length = this.#take(16);
    if ((this.#take(16) ^ length) !== 0xffff) throw bad("damaged length of a block");
    this.#at -= this.#bitCount >> 3;
    this.#bits = this.#bitCount = 0;
    if (length > this.#input.length - this.#at) throw bad("ends too early");
    if (length > this.#output.length - this.#written) throw bad("longer than stated");
    this.#output.set(this.#input.subarray(this.#at, this.#at + length), this.#written);
    this.#at += length;
    this.#written += length;
  }

  #readCodes(): void {
    const literalCount = this.#take(5) + 257;
    const distanceCount = this.#take(5) + 1;
    const lengthCount = this.#take(4) + 4;
    if (literalCount > LENGTH_CODES || distanceCount > DISTANCE_CODES) throw bad("too many codes");
    codeLengths.fill(0, 0, LENGTHS_ORDER.length);
    for (const symbol of LENGTHS_ORDER.slice(0, lengthCount)) codeLengths[symbol] = this.#take(3);
    if (!lengthsOfLengths.assign(codeLengths, 0, LENGTHS_ORDER.length)) throw bad("impossible code");
    const total = literalCount + distanceCount;
    for (let at = 0; at < total; ) at = this.#readCodeLength(at, total);
    if (codeLengths[END_OF_BLOCK] === 0) throw bad("a block without end");
    const areCodes =
      literals.assign(codeLengths, 0, literalCount) && distances.assign(codeLengths, literalCount, total);
    if (!areCodes) throw bad("impossible code");
  }

  /** Reads one length, or a run of equal ones, and says where the next one goes. */
  #readCodeLength(at: number, total: number): number {
    const symbol = this.#symbol(lengthsOfLengths);
    if (symbol < 16) {
      codeLengths[at] = symbol;
      return at + 1;
    }
    if (symbol === 16 && at === 0) throw bad("nothing to repeat");
    const length = symbol === 16 ? codeLengths[at - 1]! : 0;
    const count = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
    if (at + count > total) throw bad("too many codes");
    codeLengths.fill(length, at, at + count);
    return at + count;
  }

  #compressed(): void {
    const output = this.#output;
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol < END_OF_BLOCK) {
        if (this.#written === output.length) throw bad("longer than stated");
        output[this.#written++] = symbol;
      } else if (symbol === END_OF_BLOCK) {
        return;
      } else {
        this.#copy(symbol - END_OF_BLOCK - 1);
      }
    }
  }

  /** Repeats what was written before. */
  #copy(lengthCode: number): void {
    if (lengthCode >= LENGTH_EXTRA.length) throw bad("unknown length");
    const length = LENGTH_BASE[lengthCode]! + this.#take(LENGTH_EXTRA[lengthCode]!);
    const distanceCode = this.#symbol(distances);
    if (distanceCode >= DISTANCE_CODES) throw bad("unknown distance");
    const distance = DISTANCE_BASE[distanceCode]! + this.#take(DISTANCE_EXTRA[distanceCode]!);
    const output = this.#output;
    const end = this.#written + length;
    if (distance > this.#written) throw bad("reaches before the beginning");
    if (end > output.length) throw bad("longer than stated");
    for (let at = this.#written; at < end; at++) output[at] = output[at - distance]!;
    this.#written = end;
  }

  #symbol(code: HuffmanCode): number {
    // Up to 15 bits are looked at; beyond the end there are zeros, and using one of those is an error.
    if (this.#bitCount < 15) this.#refill();
    const entry = code.fast[this.#bits & FAST_MASK]! || code.slow(this.#bits);
    if (entry === 0) throw bad("unknown code");
    this.#drop(entry & 15);
    return entry >> 4;
  }

  #take(count: number): number {
    if (this.#bitCount < count) this.#refill();
    const value = this.#bits & ((1 << count) - 1);
    this.#drop(count);
    return value;
  }

  #drop(count: number): void {
    if (count > this.#bitCount) throw bad("ends too early");
    this.#bits >>>= count;
    this.#bitCount -= count;
  }

  #refill(): void {
    while (this.#bitCount <= 22 && this.#at < this.#input.length) {
      this.#bits |= this.#input[this.#at++]! << this.#bitCount;
      this.#bitCount += 8;
    }
  }
}

/** The codes of a block that sends none (RFC 1951, 3.2.6). */
function setFixedCodes(): void {
  codeLengths.fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280, 288);
  literals.assign(codeLengths, 0, 288);
  codeLengths.fill(5, 0, 32);
  distances.assign(codeLengths, 0, 32);
}
