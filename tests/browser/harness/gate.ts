/** A way to a server or a broker that can be cut, or lets nothing through for a while, as a network does. */
import { type AddressInfo, type Server as Listener, type Socket, connect, createServer } from "node:net";

export class Gate {
  readonly #listener: Listener;
  readonly #sockets = new Set<Socket>();
  #abandoned: readonly Socket[] = [];
  #isHeld = false;

  private constructor(behind: () => string) {
    this.#listener = createServer((inside) => {
      const { hostname: host, port } = new URL(behind());
      const outside = connect({ host, port: Number(port) });
      this.#keep(inside, outside);
      this.#keep(outside, inside);
    });
  }

  /** Before what is at this URL, which may change. */
  static async before(behind: () => string): Promise<Gate> {
    const gate = new Gate(behind);
    await new Promise<void>((resolve) => gate.#listener.listen(0, "127.0.0.1", resolve));
    return gate;
  }

  get ws(): string {
    return `ws://${this.#host}/v1/ws`;
  }

  /** A URL of what is behind it, by way of the gate. */
  through(url: string): string {
    return url.replace(new URL(url).host, this.#host);
  }

  /** Ends every connection. New ones get through. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets nothing through. Nobody is told. */
  hold(): void {
    this.#isHeld = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Lets what was held through, and all that follows. */
  release(): void {
    this.#isHeld = false;
    for (const socket of this.#sockets) socket.resume();
  }

  /** Lets new connections through. Those that stand are dead, and nobody is told. */
  releaseNew(): void {
    this.#isHeld = false;
    this.#abandoned = [...this.#abandoned, ...this.#sockets];
    this.#sockets.clear();
  }

  async end(): Promise<void> {
    this.cut();
    for (const socket of this.#abandoned) socket.destroy();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  get #host(): string {
    return `127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  #keep(socket: Socket, other: Socket): void {
    this.#sockets.add(socket);
    // A server that is gone, and a page that goes away, are the subject of tests.
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => other.write(bytes));
    socket.on("close", () => {
      this.#sockets.delete(socket);
      other.destroy();
    });
    if (this.#isHeld) socket.pause();
  }
}
