/** The session's WebSocket. Says each thing once, and nothing after `closed`. */

const PROTOCOL = "tiercast.v1";
/** While more than this waits in the browser, nothing is added; the core keeps it. */
const BUFFERED_BYTES_MAX = 256 << 10;
/** A WebSocket does not say when its buffer is empty: so often it is looked at. */
const WRITABLE_POLL_MS = 50;
/** A connection that is not open after this long is given up. */
const CONNECT_TIMEOUT_MS = 15_000;
/** The longest reason that a close frame holds, in bytes. */
const REASON_BYTES_MAX = 123;
/** What the browser reports if there was no close frame. */
const NO_CLOSE_FRAME = 1006;
/** Why, the browser keeps for itself and its console: of a server that runs, and refuses, one hears by a close code. */
const NOT_OPENED = "the connection could not be opened: does a signaling server run there, and does the network let it through?";

export interface SocketEvents {
  opened(): void;
  data(bytes: Uint8Array): void;
  /** There is room again, after `trySend` refused. */
  writable(): void;
  /** `code`: the close code, the server's or ours. `isServers`: the server's. */
  closed(code: number, reason: string, isServers: boolean): void;
}

export class Socket {
  readonly #socket: WebSocket;
  readonly #events: SocketEvents;
  readonly #timeout: ReturnType<typeof setTimeout>;
  #poll: ReturnType<typeof setTimeout> | undefined;
  #isOpen = false;
  #isDone = false;

  constructor(open: (url: string, protocol: string) => WebSocket, url: string, events: SocketEvents) {
    this.#events = events;
    this.#socket = open(url, PROTOCOL);
    this.#socket.binaryType = "arraybuffer";
    this.#timeout = setTimeout(() => {
      this.#end(NO_CLOSE_FRAME, "the connection could not be opened in time");
    }, CONNECT_TIMEOUT_MS);
    this.#socket.onopen = () => {
      this.#onOpen();
    };
    this.#socket.onmessage = (message: MessageEvent<unknown>) => {
      // Text becomes an empty message, which the core refuses.
      const { data } = message;
      events.data(data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(0));
    };
    this.#socket.onerror = () => {
      // Node says nothing else of a connection that is refused; browsers go on to say `close`.
      if (!this.#isOpen) this.#end(NO_CLOSE_FRAME, NOT_OPENED);
    };
    this.#socket.onclose = ({ code, reason }) => {
      this.#end(code, reason, true);
    };
  }

  /** False: no room, and `writable` follows. */
  trySend(bytes: Uint8Array): boolean {
    if (!this.isWritable) return false;
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
    return true;
  }

  /** Whether `trySend` would take something; if not, `writable` follows. */
  get isWritable(): boolean {
    if (this.#isDone || this.#socket.readyState !== 1) return false;
    if (this.#socket.bufferedAmount <= BUFFERED_BYTES_MAX) return true;
    this.#poll ??= setTimeout(() => {
      this.#poll = undefined;
      if (this.isWritable) this.#events.writable();
    }, WRITABLE_POLL_MS);
    return false;
  }

  close(code: number, reason: string): void {
    this.#end(code, reason);
  }

  #onOpen(): void {
    this.#isOpen = true;
    clearTimeout(this.#timeout);
    if (this.#socket.protocol === PROTOCOL) this.#events.opened();
    else this.#end(3502, `the server does not speak ${PROTOCOL}`);
  }

  #end(code: number, reason: string, isServers = false): void {
    if (this.#isDone) return;
    this.#isDone = true;
    clearTimeout(this.#timeout);
    clearTimeout(this.#poll);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onerror = this.#socket.onclose = null;
    // Browsers take 1000 and 3000 to 4999.
    const isAllowed = code === 1000 || (code >= 3000 && code < 5000);
    this.#socket.close(isAllowed ? code : 1000, shortened(reason));
    this.#events.closed(code, reason, isServers);
  }
}

function shortened(reason: string): string {
  let text = reason.slice(0, REASON_BYTES_MAX);
  while (new TextEncoder().encode(text).length > REASON_BYTES_MAX) text = text.slice(0, -1);
  return text;
}
