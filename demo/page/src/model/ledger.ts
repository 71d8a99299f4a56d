/** This page's own books: what came, what is missing, what came twice. Kept apart from what the peer library counts. */
import type { Position } from "./position.js";

export interface Books {
  readonly received: number;
  /** Events that the publisher numbered and that never came, and holes that the peer was told of. */
  readonly missing: number;
  readonly duplicates: number;
}

export class Ledger {
  #received = 0;
  #missing = 0;
  #duplicates = 0;
  #last: Position | undefined;
  #seq: number | undefined;

  get books(): Books {
    return { received: this.#received, missing: this.#missing, duplicates: this.#duplicates };
  }

  /** An event was delivered. `seq`: the publisher's consecutive number, if it gives one. */
  onEvent(position: Position, seq: number | undefined): void {
    const last = this.#last;
    const isNewEpoch = position.epoch !== last?.epoch;
    if (last !== undefined && !isNewEpoch && position.offset <= last.offset) {
      this.#duplicates++;
      return;
    }
    this.#received++;
    this.#last = position;
    // Another numbering, or a publisher that has started anew: counting begins again.
    const isNewCount = isNewEpoch || this.#seq === undefined || seq === undefined || seq <= this.#seq;
    if (!isNewCount) this.#missing += seq - (this.#seq ?? seq) - 1;
    this.#seq = seq;
  }

  /** The subscription begins anew at the newest event: what was published meanwhile was not asked for. */
  onFreshStart(): void {
    this.#seq = undefined;
  }

  /**
   * The peer was told that events are gone. Where the publisher numbers its events they are counted by the next one;
   * where not, the offsets between are all there is to go by.
   */
  onGap(from: Position, to: Position): void {
    if (this.#seq === undefined && this.#last !== undefined && from.epoch === to.epoch) {
      this.#missing += Math.max(0, to.offset - from.offset);
    }
  }
}
