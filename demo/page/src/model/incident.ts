/** What follows after a relay was killed: who lost its parent, when all are fed again, and whether events were lost. */
import type { PeerInfo } from "./topology.js";

export type Incident =
  /** Children still without a feeder. */
  | { readonly kind: "moving"; readonly killed: number; readonly children: number; readonly left: number }
  /** All fed again; the swarm is watched a little longer for events that never came. */
  | { readonly kind: "healed"; readonly killed: number; readonly children: number; readonly afterMs: number }
  /** All fed again, and the books are closed. */
  | {
      readonly kind: "closed";
      readonly killed: number;
      readonly children: number;
      readonly afterMs: number;
      readonly lost: number;
    }
  /** Some were not fed again in time. */
  | { readonly kind: "overdue"; readonly killed: number; readonly children: number; readonly left: number };

/** How long after the children are fed again the books are closed. */
export const SETTLE_MS = 1_000;
/** How long the children are waited for. */
export const PATIENCE_MS = 15_000;

/** Watches one killed relay. */
export class IncidentWatch {
  readonly #killed: number;
  readonly #announced: number;
  readonly #children: readonly number[];
  readonly #startMs: number;
  readonly #missingBefore: number;
  #healedMs: number | undefined;

  /**
   * `before`: the last tree with the relay alive. `announced`: how many children the server says it had, who count
   * where they differ from those in the tree. `missingBefore`: events missing until now, of all whose books we see.
   */
  constructor(kill: {
    readonly killed: number;
    readonly announced: number;
    readonly before: readonly PeerInfo[];
    readonly nowMs: number;
    readonly missingBefore: number;
  }) {
    this.#killed = kill.killed;
    this.#announced = kill.announced;
    this.#children = kill.before.filter(({ parent }) => parent === kill.killed).map(({ peer }) => peer);
    this.#startMs = kill.nowMs;
    this.#missingBefore = kill.missingBefore;
  }

  /** A tree was read after the kill. */
  observe(nowMs: number, peers: readonly PeerInfo[], missing: number): Incident {
    const base = { killed: this.#killed, children: this.#announced };
    if (this.#healedMs === undefined) {
      const left = this.#countUnfed(peers);
      if (left > 0) {
        const isOverdue = nowMs - this.#startMs > PATIENCE_MS;
        return { kind: isOverdue ? "overdue" : "moving", ...base, left };
      }
      this.#healedMs = nowMs;
    }
    const afterMs = this.#healedMs - this.#startMs;
    if (nowMs - this.#healedMs < SETTLE_MS) return { kind: "healed", ...base, afterMs };
    return { kind: "closed", ...base, afterMs, lost: Math.max(0, missing - this.#missingBefore) };
  }

  /** Children that are still there and have neither a parent nor the server. Those that left do not wait any more. */
  #countUnfed(peers: readonly PeerInfo[]): number {
    const isDeadStillThere = peers.some(({ peer }) => peer === this.#killed);
    const children = new Set(this.#children);
    const unfed = peers.filter(
      ({ peer, parent, place }) => children.has(peer) && (place === "orphan" || parent === this.#killed),
    ).length;
    return isDeadStillThere ? Math.max(1, unfed) : unfed;
  }
}
