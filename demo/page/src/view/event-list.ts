/** The events as they arrive, newest on top. Rows are reused, and written once per frame whatever the rate. */
import type { CiEvent } from "../model/ci-event.js";
import { formatCount, formatDuration, plural } from "../model/format.js";
import { byId, html, setText } from "./dom.js";

/** Rows shown; older ones are gone. */
const ROWS_MAX = 50;
const WORD = { started: "started", passed: "passed", failed: "failed", other: "" } as const;

interface Row {
  readonly item: HTMLLIElement;
  readonly status: HTMLElement;
  readonly repo: HTMLElement;
  readonly branch: HTMLElement;
  readonly duration: HTMLElement;
}

export interface ShownEvent extends CiEvent {
  readonly routingKey: string;
}

export class EventList {
  readonly #list = byId("events", HTMLOListElement);
  readonly #empty = byId("events-empty", HTMLElement);
  readonly #pause = byId("events-pause", HTMLButtonElement);
  /** The top one first. */
  readonly #rows: Row[] = [];
  /** Not shown yet; at most ROWS_MAX are kept, for more would be gone again in the same frame. */
  #fresh: ShownEvent[] = [];
  #unseen = 0;
  #frame: number | undefined;
  #isPaused = false;

  constructor() {
    this.#pause.addEventListener("click", () => {
      this.#isPaused = !this.#isPaused;
      this.#pause.setAttribute("aria-pressed", String(this.#isPaused));
      if (!this.#isPaused) this.#schedule();
      this.#writePause();
    });
  }

  add(event: ShownEvent): void {
    this.#fresh.push(event);
    this.#unseen++;
    if (this.#fresh.length > 2 * ROWS_MAX) this.#fresh = this.#fresh.slice(-ROWS_MAX);
    if (!this.#isPaused) this.#schedule();
  }

  /** To be called now and then: the pause button says how many wait. */
  tick(): void {
    this.#writePause();
  }

  #schedule(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    const fresh = this.#fresh.slice(-ROWS_MAX);
    this.#fresh = [];
    this.#unseen = 0;
    if (fresh.length === 0) return;
    this.#empty.hidden = true;
    for (const event of fresh) {
      const row = this.#rows.length < ROWS_MAX ? makeRow() : this.#rows.pop();
      if (row === undefined) return;
      write(row, event);
      this.#rows.unshift(row);
      this.#list.prepend(row.item);
    }
  }

  #writePause(): void {
    const waiting = this.#unseen > 0 ? `Resume (${formatCount(this.#unseen)} newer)` : "Resume";
    setText(this.#pause, this.#isPaused ? waiting : "Pause");
    this.#pause.title = this.#isPaused ? plural(this.#unseen, "event") + " not shown yet" : "Hold the list still";
  }
}

function makeRow(): Row {
  const item = html("li", "event");
  const status = html("span", "status");
  const repo = html("b", "repo");
  const branch = html("span", "branch");
  const duration = html("span", "duration");
  item.append(status, repo, branch, duration);
  return { item, status, repo, branch, duration };
}

function write(row: Row, event: ShownEvent): void {
  row.item.dataset["status"] = event.status;
  row.item.title = event.routingKey;
  setText(row.repo, event.repo);
  setText(row.branch, event.branch);
  const took = event.durationMs === undefined ? "" : formatDuration(event.durationMs);
  setText(row.duration, event.status === "started" ? WORD.started : took);
  row.status.setAttribute("role", "img");
  row.status.setAttribute("aria-label", WORD[event.status] || event.routingKey);
}
