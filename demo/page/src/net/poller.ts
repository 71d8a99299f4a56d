/** Reads state and tree again and again; slower while hidden, faster while something is going on, backing off when refused. */
import type { DemoState } from "../model/demo-state.js";
import type { PeerInfo } from "../model/topology.js";
import { ApiError, readState, readTopology } from "./api.js";

const VISIBLE_MS = 500;
const HIDDEN_MS = 1_000;
const HURRY_MS = 120;
/** After the first failure, the second, and so on; the last one stays. */
const RETRIES_MS = [1_000, 2_000, 4_000, 8_000] as const;

export interface Reading {
  readonly atMs: number;
  readonly state: DemoState;
  readonly peers: readonly PeerInfo[];
}

export type ServerLink =
  | { readonly kind: "connecting" }
  | { readonly kind: "up" }
  /** It does not answer, or not what was agreed; asked again at `retryAtMs`. `message`: what it said instead, if it said something. */
  | { readonly kind: "gone"; readonly retryAtMs: number; readonly message: string };

export class Poller {
  link: ServerLink = { kind: "connecting" };
  readonly #onReading: (reading: Reading) => void;
  readonly #onLink: () => void;
  #channel: string;
  #peers: readonly PeerInfo[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #isAsking = false;
  #hurryUntilMs = 0;

  /** `channel` is where the tree is read until the server names its own. */
  constructor(channel: string, handlers: { onReading: (reading: Reading) => void; onLink: () => void }) {
    this.#channel = channel;
    this.#onReading = handlers.onReading;
    this.#onLink = handlers.onLink;
  }

  start(): void {
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.askNow();
    });
    void this.#ask();
  }

  /** Does not wait for the next turn. */
  askNow(): void {
    if (this.#isAsking) return;
    clearTimeout(this.#timer);
    void this.#ask();
  }

  /** Asks often for a while. */
  hurry(forMs: number): void {
    this.#hurryUntilMs = Math.max(this.#hurryUntilMs, performance.now() + forMs);
    this.askNow();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    try {
      const [state, peers] = await Promise.all([readState(), this.#readTree()]);
      this.#channel = state.channel;
      this.#peers = peers;
      this.#failures = 0;
      this.#setLink({ kind: "up" });
      this.#onReading({ atMs: performance.now(), state, peers });
      this.#again(this.#pauseMs());
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const pauseMs = RETRIES_MS[Math.min(this.#failures, RETRIES_MS.length - 1)] ?? HIDDEN_MS;
      this.#failures++;
      const message = error.reason === "unreachable" ? "" : error.message;
      this.#setLink({ kind: "gone", retryAtMs: performance.now() + pauseMs, message });
      this.#again(pauseMs);
    } finally {
      this.#isAsking = false;
    }
  }

  /** While the server restarts, the tree is as it was: links between peers stay. */
  async #readTree(): Promise<readonly PeerInfo[]> {
    try {
      return await readTopology(this.#channel);
    } catch (error) {
      if (error instanceof ApiError && error.reason === "refused") return this.#peers;
      throw error;
    }
  }

  #again(pauseMs: number): void {
    this.#timer = setTimeout(() => void this.#ask(), pauseMs);
  }

  #pauseMs(): number {
    if (performance.now() < this.#hurryUntilMs) return HURRY_MS;
    return document.hidden ? HIDDEN_MS : VISIBLE_MS;
  }

  #setLink(link: ServerLink): void {
    this.link = link;
    this.#onLink();
  }
}
