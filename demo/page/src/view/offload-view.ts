/** The headline: what the server sends, against what it would send without peers. */
import { NONE, formatByteRate, formatBytes, formatPercent, plural } from "../model/format.js";
import type { Offload } from "../model/offload.js";
import { byId, setText } from "./dom.js";

export class OffloadView {
  readonly #share = byId("share", HTMLElement);
  readonly #directBar = byId("bar-direct", HTMLElement);
  readonly #serverBar = byId("bar-server", HTMLElement);
  readonly #directRate = byId("direct-rate", HTMLElement);
  readonly #serverRate = byId("server-rate", HTMLElement);
  readonly #since = byId("since-start", HTMLElement);

  /** Undefined: not known yet. */
  show(offload: Offload | undefined): void {
    const share = offload?.share;
    setText(this.#share, share === undefined ? "" : formatPercent(share));
    byId("share-unit", HTMLElement).hidden = share === undefined;
    byId("share-none", HTMLElement).hidden = share !== undefined;
    setText(this.#directRate, offload === undefined ? NONE : formatByteRate(offload.directPerS));
    setText(this.#serverRate, offload === undefined ? NONE : formatByteRate(offload.dataPerS));
    // Both bars on one scale: the longer of the two fills it.
    const whole = Math.max(offload?.directPerS ?? 0, offload?.dataPerS ?? 0);
    const part = (rate: number): string => (whole > 0 ? (rate / whole).toFixed(4) : "0");
    this.#directBar.style.transform = `scaleX(${part(offload?.directPerS ?? 0)})`;
    this.#serverBar.style.transform = `scaleX(${part(offload?.dataPerS ?? 0)})`;
    setText(this.#since, offload === undefined ? "" : sinceText(offload));
  }

  /** The server does not answer; what is shown is old. */
  showAge(ageMs: number): void {
    setText(this.#since, `The server was last heard ${plural(Math.round(ageMs / 1000), "second")} ago.`);
  }
}

function sinceText({ shareSinceStart, savedBytes, controlPerS }: Offload): string {
  const control = `Signaling takes another ${formatByteRate(controlPerS)}.`;
  if (shareSinceStart === undefined) return control;
  return `Since the start: ${formatPercent(shareSinceStart)}\u202f%, ${formatBytes(savedBytes)} not sent. ${control}`;
}
