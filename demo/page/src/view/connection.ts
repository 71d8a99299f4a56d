/** The pill in the header and what lies over the tree: how the page stands with the server. */
import type { ServerLink } from "../net/poller.js";
import type { OwnSnapshot } from "../own/own-peer.js";
import { byId, setText } from "./dom.js";

/** `calm`: as it was asked for, and nothing to be done. */
export type PillTone = "wait" | "calm" | "good" | "warn" | "bad";

export interface Connection {
  readonly link: ServerLink;
  readonly own: OwnSnapshot;
  readonly nowMs: number;
  /** Peers in the tree, this page aside; undefined: not known yet. */
  readonly others: number | undefined;
  readonly relays: boolean;
  readonly canLink: boolean;
}

export class ConnectionView {
  readonly #pill = byId("pill", HTMLElement);
  readonly #pillText = byId("pill-text", HTMLElement);
  /** Apart, so that seconds are not read aloud one by one. */
  readonly #pillCount = byId("pill-count", HTMLElement);
  readonly #overlay = byId("overlay", HTMLElement);
  readonly #title = byId("overlay-title", HTMLElement);
  readonly #text = byId("overlay-text", HTMLElement);
  readonly #action = byId("overlay-action", HTMLButtonElement);
  readonly #stage = byId("stage", HTMLElement);
  readonly #actions: { readonly retry: () => void; readonly addTen: () => void };
  #does: "retry" | "addTen" = "retry";

  constructor(actions: { readonly retry: () => void; readonly addTen: () => void }) {
    this.#actions = actions;
    this.#action.addEventListener("click", () => {
      this.#actions[this.#does]();
    });
  }

  show(connection: Connection): void {
    const [tone, text] = pillOf(connection);
    const { own, link, nowMs } = connection;
    const retryAtMs = link.kind !== "gone" && own.state.kind === "reconnecting" ? own.state.retryAtMs : undefined;
    this.#pill.dataset["tone"] = tone;
    setText(this.#pillText, text);
    setText(this.#pillCount, retryAtMs === undefined ? "" : ` ${inSeconds(retryAtMs, nowMs)}`);
    this.#showOverlay(connection);
  }

  #showOverlay({ link, nowMs, others }: Connection): void {
    this.#stage.classList.toggle("gone", link.kind === "gone");
    if (link.kind === "gone") {
      this.#does = "retry";
      const again = `Reconnecting ${inSeconds(link.retryAtMs, nowMs)}.`;
      this.#say("The server is gone", [link.message, again].join(" ").trim(), "Try now");
    } else if (link.kind === "connecting") {
      this.#say("Connecting…", "Asking the server for its tree.", undefined);
    } else if (others === 0) {
      this.#does = "addTen";
      this.#say("Nobody else is here yet", "Add ten native peers and watch them find their places.", "Add 10 peers");
    } else {
      this.#overlay.hidden = true;
    }
  }

  #say(title: string, text: string, action: string | undefined): void {
    this.#overlay.hidden = false;
    setText(this.#title, title);
    setText(this.#text, text);
    this.#action.hidden = action === undefined;
    setText(this.#action, action ?? "");
  }
}

/** The colour of the dot, and what is said beside it. */
export function pillOf({ link, own, relays, canLink }: Omit<Connection, "nowMs" | "others">): [PillTone, string] {
  if (link.kind === "gone") return ["bad", "Server gone"];
  switch (own.state.kind) {
    case "connecting":
      return ["wait", "Connecting…"];
    case "reconnecting":
      return ["warn", own.state.retryAtMs === undefined ? "Rejoining…" : "Rejoining"];
    case "ended":
      return ["bad", "Not connected"];
    case "connected":
      break;
  }
  if (!canLink) return ["warn", "No WebRTC"];
  if (!relays) return ["calm", "Not relaying"];
  return own.tier > 0 ? ["good", `Connected, tier ${own.tier}`] : ["wait", "Finding a place"];
}

function inSeconds(atMs: number, nowMs: number): string {
  const seconds = Math.ceil((atMs - nowMs) / 1000);
  return seconds > 0 ? `in ${seconds}\u202fs` : "now";
}
