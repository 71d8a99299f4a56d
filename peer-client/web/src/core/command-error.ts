/** A call that the driver should not have made; the peer is unchanged. */
export class CommandError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "CommandError";
  override readonly name = "CommandError";
  readonly reason: "already_subscribed" | "not_subscribed";

  constructor(reason: "already_subscribed" | "not_subscribed", channel: string) {
    super(`${reason.replace("_", " ")} to \`${channel}\``);
    this.reason = reason;
  }
}
