/**
 * Deadlines, at most one per key, in the order in which they fall due.
 *
 * | key | falls due | then |
 * |---|---|---|
 * | `session_silent` | every heartbeat | closes a silent session |
 * | `subscribe` | what the server asked for | asks again for a channel that was not ready |
 * | `link_setup` | `linkSetupUs` after `assign` or `expect` | gives up the link |
 * | `link_heartbeat` | every `linkHeartbeatUs` | pings a quiet link, closes a silent one |
 * | `link_answer` | `linkAnswerUs` or two round trips after `away` | closes a link on which nothing came |
 */

/** What a deadline is for. Those that fall due together come in the order of kinds here, then by number. */
export type Timer =
  | { readonly kind: "session_silent" }
  | { readonly kind: "subscribe"; readonly channel: number }
  | { readonly kind: "link_setup"; readonly link: number }
  | { readonly kind: "link_heartbeat"; readonly link: number }
  | { readonly kind: "link_answer"; readonly link: number };

const KINDS = ["session_silent", "subscribe", "link_setup", "link_heartbeat", "link_answer"] as const;

interface Entry {
  readonly at: number;
  readonly timer: Timer;
}

/** A set of deadlines. There are at most three per link, so that looking at each is fast enough. */
export class Timers {
  readonly #entries = new Map<string, Entry>();

  /** Sets or moves a deadline. */
  set(timer: Timer, at: number): void {
    this.#entries.set(keyOf(timer), { at, timer });
  }

  /** Forgets a deadline. */
  clear(timer: Timer): void {
    this.#entries.delete(keyOf(timer));
  }

  /** The next deadline. */
  next(): number | undefined {
    return this.#first()?.at;
  }

  /** Takes the first timer whose deadline has come. */
  expired(now: number): Timer | undefined {
    const first = this.#first();
    if (first === undefined || first.at > now) return undefined;
    this.clear(first.timer);
    return first.timer;
  }

  #first(): Entry | undefined {
    let first: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (first === undefined || compare(entry, first) < 0) first = entry;
    }
    return first;
  }
}

function compare(a: Entry, b: Entry): number {
  const rank = ({ timer }: Entry): number => KINDS.indexOf(timer.kind);
  return a.at - b.at || rank(a) - rank(b) || numberOf(a.timer) - numberOf(b.timer);
}

function numberOf(timer: Timer): number {
  if (timer.kind === "session_silent") return 0;
  return timer.kind === "subscribe" ? timer.channel : timer.link;
}

function keyOf(timer: Timer): string {
  return `${timer.kind} ${numberOf(timer)}`;
}
