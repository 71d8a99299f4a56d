/**
 * Where msgpack values begin, without reading them: to tell floats from integers, as the library gives 1 for both 1.0
 * and 1. The token of an array or map is its header; what is inside follows as tokens of its own.
 */

/** The markers from bin 8 to map 32: length of the header, with what has a fixed length. */
const FIRST = 0xc4;
const LAST = 0xdf;
const FIXED = [2, 3, 5, 3, 4, 6, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18, 2, 3, 5, 3, 5, 3, 5];
/** How many bytes after the marker say the length of what follows the header: of bin, ext and str. */
const LENGTH_BYTES: Readonly<Record<number, number>> = {
  0xc4: 1,
  0xc5: 2,
  0xc6: 4,
  0xc7: 1,
  0xc8: 2,
  0xc9: 4,
  0xd9: 1,
  0xda: 2,
  0xdb: 4,
};

/** How many bytes the token at `at` has, by what its marker says. At least 1. */
export function tokenBytes(bytes: Uint8Array, at: number): number {
  const marker = bytes[at] ?? 0;
  if (marker >= 0xa0 && marker <= 0xbf) return 1 + (marker & 0x1f);
  if (marker < FIRST || marker > LAST) return 1;
  let length = 0;
  for (let next = at + 1; next <= at + (LENGTH_BYTES[marker] ?? 0); next++) length = length * 256 + (bytes[next] ?? 0);
  return (FIXED[marker - FIRST] ?? 1) + length;
}

/** Whether the token at `at` is a float. */
export function isFloat(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xca || bytes[at] === 0xcb;
}
