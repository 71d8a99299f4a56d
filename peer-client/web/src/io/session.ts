/** The connection to the server, made again whenever it is lost, until the server or the application ends it. */
import { type Code, mayReconnect } from "../codec/index.js";
import { Backoff } from "./backoff.js";
import type { Platform } from "./platform.js";
import { Socket } from "./socket.js";

export interface SessionEvents {
  connecting(): void;
  opened(): void;
  data(bytes: Uint8Array): void;
  writable(): void;
  /** Gone; to be made again in `retryMs`, or not at all. */
  closed(code: number, reason: string, retryMs: number | undefined): void;
}

export class Session {
  readonly #platform: Platform;
  readonly #url: string;
  readonly #events: SessionEvents;
  readonly #backoff: Backoff;
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #openedUs: number | undefined;
  #retryAfterMs = 0;
  #isPaused = true;

  constructor(platform: Platform, url: string, events: SessionEvents) {
    this.#platform = platform;
    this.#url = url;
    this.#events = events;
    this.#backoff = new Backoff(platform.random);
  }

  /** Whether `trySend` takes something; if it is open and does not, `writable` follows. */
  get isWritable(): boolean {
    return this.#socket?.isWritable ?? false;
  }

  trySend(bytes: Uint8Array): boolean {
    return this.#socket?.trySend(bytes) ?? false;
  }

  /** Connects, and stays connected. */
  start(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#connect();
  }

  /** Closes the connection; it is made again, whatever the code: only the server can forbid that. */
  close(code: Code, reason: string): void {
    this.#socket?.close(code, reason);
  }

  /** Closes the connection, if any, and makes none until `start`. */
  end(code: number, reason: string): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    clearTimeout(this.#timer);
    if (this.#socket === undefined) this.#events.closed(code, reason, undefined);
    else this.#socket.close(code, reason);
  }

  /** Not to come back earlier than this after the connection that there is. */
  retryAfter(ms: number): void {
    this.#retryAfterMs = ms;
  }

  #connect(): void {
    this.#events.connecting();
    this.#openedUs = undefined;
    this.#retryAfterMs = 0;
    this.#socket = new Socket(this.#platform.openSocket, this.#url, {
      opened: () => {
        this.#openedUs = this.#platform.now();
        this.#events.opened();
      },
      data: (bytes) => {
        this.#events.data(bytes);
      },
      writable: () => {
        this.#events.writable();
      },
      closed: (code, reason, isServers) => {
        this.#socket = undefined;
        this.#onClosed(code, reason, isServers);
      },
    });
  }

  #onClosed(code: Code, reason: string, isServers: boolean): void {
    if (this.#isPaused || (isServers && !mayReconnect(code))) {
      this.#isPaused = true;
      this.#events.closed(code, reason, undefined);
      return;
    }
    const lastedMs = this.#openedUs === undefined ? 0 : (this.#platform.now() - this.#openedUs) / 1000;
    const retryMs = this.#backoff.next(lastedMs, this.#retryAfterMs);
    this.#timer = setTimeout(() => {
      this.#connect();
    }, retryMs);
    this.#events.closed(code, reason, retryMs);
  }
}
