/**
 * Deadlines, at most one per key, in the order in which they fall due.
 *
 * | key | falls due | then |
 * |---|---|---|
 * | `session_silent` | every heartbeat | closes a silent session |
 * | `subscribe` | what the server asked for | asks again for a channel that was not ready |
 * | `link_setup` | `linkSetupUs` after `assign` or `expect` | gives up the link |
 * | `link_heartbeat` | every `linkHeartbeatUs` | pings a quiet link, closes a silent one |
 * | `link_answer` | `linkAnswerUs` or two round trips after `away`, without a standby that may be well | closes a link on which nothing came |
 * | `link_doubt` | `linkDoubtUs` after a parent was asked whether it is there | closes the link if nothing came |
 * | `have` | at the pace of `have` | tells a child that holds us how far we are, or one that loses how far we have sent |
 * | `lead` | when what somebody else has should have come | turns to the standby, or pulls |
 * | `nack` | `nackWaitUs` after a frame came before its turn, then after a round trip and a quarter | asks for what is missing |
 * | `stale` | when a parent that brings something would have done so | asks the server, closes links that stay behind |
 */

/** What a deadline is for. Those that fall due together come in the order of kinds here, then by number. */
export type Timer =
  | { readonly kind: "session_silent" }
  | { readonly kind: "subscribe"; readonly channel: number }
  | { readonly kind: "link_setup"; readonly link: number }
  | { readonly kind: "link_heartbeat"; readonly link: number }
  | { readonly kind: "link_answer"; readonly link: number }
  | { readonly kind: "link_doubt"; readonly link: number }
  | { readonly kind: "have"; readonly link: number }
  | { readonly kind: "lead"; readonly channel: number }
  | { readonly kind: "nack"; readonly channel: number }
  | { readonly kind: "stale"; readonly channel: number };

const KINDS = [
  "session_silent",
  "subscribe",
  "link_setup",
  "link_heartbeat",
  "link_answer",
  "link_doubt",
  "have",
  "lead",
  "nack",
  "stale",
] as const;

interface Entry {
  readonly at: number;
  readonly timer: Timer;
}

/** A set of deadlines. There are two or three per link, so that looking at each is fast enough. */
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

  /** When a timer falls due, if it is set. */
  due(timer: Timer): number | undefined {
    return this.#entries.get(keyOf(timer))?.at;
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
  return "channel" in timer ? timer.channel : timer.link;
}

function keyOf(timer: Timer): string {
  return `${timer.kind} ${numberOf(timer)}`;
}
