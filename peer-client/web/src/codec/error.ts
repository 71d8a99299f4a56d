/**
 * Why bytes were refused. The reasons are stable names, the same as in every other implementation, and
 * the test vectors use them.
 */

/** The stable name of a kind of {@link DecodeError}. */
export type DecodeErrorReason =
  | "empty"
  | "unknown_kind"
  | "truncated"
  | "unknown_version"
  | "unknown_flags"
  | "unknown_dictionary"
  | "out_of_range"
  | "too_large"
  | "bad_payload"
  | "bad_events"
  | "bad_signature"
  | "unknown_message"
  | "bad_message"
  | "trailing_bytes";

/** What is wrong with bytes that came from outside. Nothing was kept; close what they came on. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
  /** What kind of error it is. */
  readonly reason: DecodeErrorReason;

  constructor(reason: DecodeErrorReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A message of a type that this build does not know. Answer with an error and go on. */
export class UnknownMessageError extends DecodeError {
  /** Its type. */
  readonly kind: string;
  /** Its request id, for the answer. */
  readonly id: number | undefined;

  constructor(kind: string, id: number | undefined) {
    super("unknown_message", `unknown message type \`${kind}\``);
    this.kind = kind;
    this.id = id;
  }
}

export function truncated(what: string, needed: number, have: number): DecodeError {
  return new DecodeError("truncated", `${what} needs ${needed} bytes, ${have} are there`);
}

export function tooLarge(field: string, value: number, max: number): DecodeError {
  return new DecodeError("too_large", `${field} is ${value}, the limit is ${max}`);
}
