/** Canonical Huffman codes as deflate uses them (RFC 1951, 3.2.2). */

/** Codes of at most this many bits are found in one look. */
const FAST_BITS = 9;
/** Chooses the bits to look at. */
export const FAST_MASK = (1 << FAST_BITS) - 1;
const CODE_BITS_MAX = 15;

/** A code's bits in the order of the input: deflate sends codes from their highest bit on. */
function reversed(code: number, bits: number): number {
  let result = 0;
  for (let i = 0; i < bits; i++) {
    result = (result << 1) | (code & 1);
    code >>= 1;
  }
  return result;
}

/** One code, to be set up again for each block; its memory is reserved once. */
export class HuffmanCode {
  /** For the next 9 bits of input: symbol << 4 | length, or 0 if the code is longer. */
  readonly fast = new Uint16Array(1 << FAST_BITS);
  readonly #counts = new Uint16Array(CODE_BITS_MAX + 1);
  readonly #symbols: Uint16Array;
  readonly #next = new Uint16Array(CODE_BITS_MAX + 1);
  readonly #places = new Uint16Array(CODE_BITS_MAX + 1);

  constructor(symbolsMax: number) {
    this.#symbols = new Uint16Array(symbolsMax);
  }

  /** Sets up the code whose symbols have these lengths. False if no such code exists. */
  assign(lengths: Uint8Array, start: number, end: number): boolean {
    const counts = this.#counts.fill(0);
    for (let at = start; at < end; at++) counts[lengths[at] ?? 0]!++;
    counts[0] = 0;
    if (!this.#isComplete()) return false;
    let code = 0;
    let place = 0;
    for (let bits = 1; bits <= CODE_BITS_MAX; bits++) {
      this.#next[bits] = code;
      this.#places[bits] = place;
      code = (code + counts[bits]!) << 1;
      place += counts[bits]!;
    }
    this.fast.fill(0);
    for (let at = start; at < end; at++) this.#add(at - start, lengths[at] ?? 0);
    return true;
  }

  /** The symbol of a code longer than 9 bits, as symbol << 4 | length; 0 if there is none. */
  slow(input: number): number {
    let code = 0;
    let first = 0;
    let place = 0;
    for (let bits = 1; bits <= CODE_BITS_MAX; bits++) {
      code = (code << 1) | (input & 1);
      input >>= 1;
      const count = this.#counts[bits]!;
      if (code - first < count) return (this.#symbols[place + code - first]! << 4) | bits;
      place += count;
      first = (first + count) << 1;
    }
    return 0;
  }

  /** Whether every input means a symbol. One lone code of one bit, and no code at all, are allowed too. */
  #isComplete(): boolean {
    let left = 1;
    let longest = 0;
    for (let bits = 1; bits <= CODE_BITS_MAX; bits++) {
      const count = this.#counts[bits]!;
      left = 2 * left - count;
      if (left < 0) return false;
      if (count > 0) longest = bits;
    }
    return left === 0 || longest <= 1;
  }

  #add(symbol: number, bits: number): void {
    if (bits === 0) return;
    this.#symbols[this.#places[bits]!++] = symbol;
    const code = this.#next[bits]!++;
    if (bits > FAST_BITS) return;
    const step = 1 << bits;
    const entry = (symbol << 4) | bits;
    for (let at = reversed(code, bits); at < this.fast.length; at += step) this.fast[at] = entry;
  }
}
