/** A WebSocket whose other end is a {@link FakeHub} in the same program. */
import type { FakeHub } from "./fake-hub.js";

export class FakeSocket {
  binaryType = "blob";
  readonly protocol: string;
  readyState = 0;
  /** What the server was told when this end closed it. */
  closeCode: number | undefined;
  readonly bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly #hub: FakeHub;
  #session = 0;

  constructor(hub: FakeHub, protocol: string) {
    this.#hub = hub;
    this.protocol = protocol;
    setTimeout(() => {
      if (this.readyState !== 0) return;
      this.readyState = 1;
      this.#session = hub.open((bytes) => {
        setTimeout(() => this.onmessage?.({ data: bytes.slice().buffer }), 0);
      });
      this.onopen?.();
    }, 0);
  }

  /** As the server calls the peer. */
  get session(): number {
    return this.#session;
  }

  send(bytes: Uint8Array): void {
    const copy = bytes.slice();
    setTimeout(() => {
      this.#hub.receive(this.#session, copy);
    }, 0);
  }

  /** From this end. */
  close(code?: number): void {
    this.closeCode ??= code;
    this.readyState = 3;
    this.#hub.close(this.#session);
  }

  /** The server closes it. */
  drop(code: number, reason = ""): void {
    this.close();
    this.onclose?.({ code, reason });
  }

  asWebSocket(): WebSocket {
    return this as unknown as WebSocket;
  }
}
