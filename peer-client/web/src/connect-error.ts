/** Why a client cannot even begin to connect. Trying again would not help. */
export class ConnectError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "ConnectError";
  override readonly name = "ConnectError";
  /**
   * `bad_url`: not the address of a server. `insecure`: a page of `https` may not connect to `ws`. `no_websocket`: there
   * is no WebSocket here, as in Node before 22.
   */
  readonly reason: "bad_url" | "insecure" | "no_websocket";

  constructor(reason: ConnectError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}
