/** Reads the fixed headers of frames and heads. All numbers are big-endian. */
import { DecodeError, tooLarge } from "./error.js";
import { BEFORE_FIRST } from "./position.js";

/** The format version of frames, heads and chunks. */
export const FORMAT_VERSION = 1;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function checkVersion(version: number): void {
  if (version !== FORMAT_VERSION) {
    throw new DecodeError("unknown_version", `unknown format version ${version}`);
  }
}

/** Refuses bytes or bits that must be zero and are not. */
export function checkZero(flags: number): void {
  if (flags !== 0) throw new DecodeError("unknown_flags", `unknown flags 0x${flags.toString(16).padStart(2, "0")}`);
}

/** An unsigned number of at most 2^53 - 1. */
export function readNumber(view: DataView, at: number, field: string): number {
  return inRange(Number(view.getBigUint64(at)), 0, field);
}

/** An offset: -1 to 2^53 - 1. */
export function readOffset(view: DataView, at: number, field: string): number {
  return inRange(Number(view.getBigInt64(at)), BEFORE_FIRST, field);
}

/** A length or count within its limit. */
export function readAtMost(view: DataView, at: number, field: string, max: number): number {
  const value = view.getUint32(at);
  if (value > max) throw tooLarge(field, value, max);
  return value;
}

function inRange(value: number, min: number, field: string): number {
  if (value < min || value > Number.MAX_SAFE_INTEGER) {
    throw new DecodeError("out_of_range", `${field} is out of range`);
  }
  return value;
}
