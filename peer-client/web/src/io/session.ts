/** The connection to a server, made again whenever it is lost, until the servers or the application end it. */
import { type Code, mayReconnect } from "../codec/index.js";
import type { Platform } from "./platform.js";
import { Servers } from "./servers.js";
import { Socket } from "./socket.js";

/** The next attempt to connect: it comes by itself. */
export interface Attempt {
  /** How many there will have been since one succeeded. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly server: string;
}

export interface SessionEvents {
  connecting(server: string): void;
  opened(): void;
  data(bytes: Uint8Array): void;
  writable(): void;
  /** Gone; `next` is undefined if it is not made again. */
  closed(code: number, reason: string, next: Attempt | undefined): void;
}

export class Session {
  readonly #platform: Platform;
  readonly #events: SessionEvents;
  readonly #servers: Servers;
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #openedUs: number | undefined;
  #retryAfterMs = 0;
  /** Attempts since one succeeded. */
  #attempts = 0;
  #isPaused = true;

  constructor(platform: Platform, urls: readonly string[], events: SessionEvents) {
    this.#platform = platform;
    this.#events = events;
    this.#servers = new Servers(urls, platform.random);
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

  /** The server that answers or has answered last. */
  get server(): string | undefined {
    return this.#servers.current;
  }

  /** The server has answered. */
  succeeded(): void {
    this.#attempts = 0;
  }

  /** Not to come back to this server earlier than this after the connection that there is. */
  retryAfter(ms: number): void {
    this.#retryAfterMs = ms;
  }

  #connect(): void {
    const server = this.#servers.current;
    if (server === undefined) return;
    this.#attempts++;
    this.#openedUs = undefined;
    this.#retryAfterMs = 0;
    this.#socket = new Socket(this.#platform.openSocket, server, {
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
    // Whoever hears it may close the connection.
    this.#events.connecting(server);
  }

  #onClosed(code: Code, reason: string, isServers: boolean): void {
    const next = this.#isPaused ? undefined : this.#turn(isServers && !mayReconnect(code));
    if (next === undefined) {
      this.#isPaused = true;
    } else {
      this.#timer = setTimeout(() => {
        this.#connect();
      }, next.delayMs);
    }
    this.#events.closed(code, reason, next);
  }

  /** Turns to the server whose turn it is. */
  #turn(isForbidden: boolean): Attempt | undefined {
    const now = this.#platform.now();
    const lastedMs = this.#openedUs === undefined ? 0 : (now - this.#openedUs) / 1000;
    if (isForbidden) this.#servers.forbidden();
    else this.#servers.failed(now, lastedMs, this.#retryAfterMs);
    const delayMs = this.#servers.turn(now);
    const server = this.#servers.current;
    if (delayMs === undefined || server === undefined) return undefined;
    return { attempt: this.#attempts + 1, delayMs: Math.ceil(delayMs), server };
  }
}
