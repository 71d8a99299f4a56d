/** Why an event was not published, or may not have been. */

/**
 * `bad_server`: not a server's address. `bad_key`: no header can hold it. `bad_data`: it cannot be written as JSON, its body is no
 * bytes, its message id no text, or it has a field that there is none of. `full`: too many events wait already; this one was not sent.
 * `refused`: the server does not take the event, and never will; nothing was published. `gave_up`: it is not known whether the
 * event is published; if that matters, publish it again under the same message id.
 */
export type EmitProblem = "bad_server" | "bad_key" | "bad_data" | "full" | "refused" | "gave_up";

/** Why an event was not published, or may not have been. */
export class EmitError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "EmitError";
  override readonly name = "EmitError";
  readonly reason: EmitProblem;
  /** The HTTP status of what was refused. */
  readonly status: number | undefined;
  /** The protocol's code for the same thing, if it has one. */
  readonly code: number | undefined;

  /** @internal */
  constructor(reason: EmitProblem, message: string, status?: number, code?: number) {
    super(message);
    this.reason = reason;
    this.status = status;
    this.code = code;
  }
}
