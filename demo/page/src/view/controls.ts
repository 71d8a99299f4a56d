/** The buttons, the switch and the slider. Each says what came of it, also where the server refuses. */
import { changeText } from "../model/change.js";
import { FAULTS, type FaultButton, whyNoSwitch, whyNot } from "../model/faults.js";
import { formatRate, plural, sentence } from "../model/format.js";
import { rateSteps, stepOf } from "../model/rate-scale.js";
import type { DemoState } from "../model/demo-state.js";
import { ApiError, type Struck, addPeers, removePeers, setRate, strike, switchMesh } from "../net/api.js";
import { byId, setText } from "./dom.js";

/** A slider that is being dragged sends at most this often. */
const RATE_EVERY_MS = 150;
/** Good news goes away after this long; bad news stays. */
const NEWS_MS = 8_000;
/** After the user let go, the server's rate is not shown for this long, as it may still be the one before. */
const RATE_SETTLE_MS = 1_200;

export type Tone = "calm" | "busy" | "good" | "bad";

export interface ControlHandlers {
  /** Something was asked for and granted: look soon. */
  onChanged(): void;
  /** Something went wrong as it was asked for. */
  onStruck(fault: FaultButton, struck: Struck): void;
}

export class Controls {
  readonly #handlers: ControlHandlers;
  readonly #feedback = byId("feedback", HTMLElement);
  readonly #count = byId("native-peers", HTMLOutputElement);
  readonly #rate = byId("rate", HTMLInputElement);
  readonly #rateValue = byId("rate-value", HTMLOutputElement);
  readonly #faults = FAULTS.map((fault) => ({ fault, button: byId(fault.id, HTMLButtonElement) }));
  readonly #mesh = byId("mesh", HTMLButtonElement);
  readonly #steppers: readonly { readonly button: HTMLButtonElement; readonly by: number }[];
  #steps: readonly number[] = rateSteps(500);
  #rateTouchedMs = -Infinity;
  #rateTimer: ReturnType<typeof setTimeout> | undefined;
  #newsTimer: ReturnType<typeof setTimeout> | undefined;
  #isUp = false;
  #busy = 0;
  #state: DemoState | undefined;

  constructor(handlers: ControlHandlers) {
    this.#handlers = handlers;
    this.#steppers = [
      { id: "remove-10", by: -10 },
      { id: "remove-1", by: -1 },
      { id: "add-1", by: 1 },
      { id: "add-10", by: 10 },
    ].map(({ id, by }) => ({ button: byId(id, HTMLButtonElement), by }));
    for (const { button, by } of this.#steppers) {
      button.addEventListener("click", () => void this.#changePeers(by));
    }
    for (const { fault, button } of this.#faults) {
      button.addEventListener("click", () => void this.#strike(fault));
    }
    this.#mesh.addEventListener("click", () => void this.#switchMesh());
    this.#rate.addEventListener("input", () => {
      this.#onRate();
    });
    this.#enable();
  }

  /** `isUp`: the server answers. */
  show(state: DemoState | undefined, isUp: boolean): void {
    this.#isUp = isUp;
    if (state !== undefined) {
      this.#state = state;
      setText(this.#count, String(state.nativePeers));
      this.#steps = rateSteps(state.ratePerSMax);
      this.#rate.max = String(this.#steps.length - 1);
      if (performance.now() - this.#rateTouchedMs > RATE_SETTLE_MS) {
        this.#rate.value = String(stepOf(this.#steps, state.ratePerS));
        this.#writeRate(state.ratePerS);
      }
    }
    this.#enable();
  }

  say(tone: Tone, text: string): void {
    clearTimeout(this.#newsTimer);
    this.#feedback.dataset["tone"] = tone;
    setText(this.#feedback, text);
    if (tone === "good" || tone === "calm") {
      this.#newsTimer = setTimeout(() => {
        this.say("calm", "");
      }, NEWS_MS);
    }
    if (text === "") clearTimeout(this.#newsTimer);
  }

  async addTen(): Promise<void> {
    await this.#changePeers(10);
  }

  async #changePeers(by: number): Promise<void> {
    const peers = plural(Math.abs(by), "native peer");
    await this.#do(by > 0 ? `Adding ${peers}…` : `Removing ${peers}…`, async () => {
      const done = by > 0 ? await addPeers(by) : -(await removePeers(-by));
      this.say("good", changeText(by, done, this.#state?.nativePeersMax));
    });
  }

  /** A button that cannot be had now says why. */
  async #strike(fault: FaultButton): Promise<void> {
    const reason = this.#whyNot((state) => whyNot(fault, state));
    if (reason !== undefined) {
      this.say("calm", reason);
      return;
    }
    await this.#do(fault.doing, async () => {
      this.#handlers.onStruck(fault, await strike(fault.fault, fault.who));
      this.say("calm", "");
    });
  }

  async #switchMesh(): Promise<void> {
    const reason = this.#whyNot(whyNoSwitch);
    if (reason !== undefined) {
      this.say("calm", reason);
      return;
    }
    const on = this.#state?.isMeshOn !== true;
    await this.#do(on ? "Switching the mesh on…" : "Switching the mesh off…", async () => {
      await switchMesh(on);
      this.say("calm", "");
    });
  }

  #whyNot(reason: (state: DemoState) => string | undefined): string | undefined {
    if (!this.#isUp || this.#state === undefined) return "The demo does not answer.";
    return this.#busy > 0 ? "Wait: something is under way." : reason(this.#state);
  }

  #onRate(): void {
    this.#rateTouchedMs = performance.now();
    this.#writeRate(this.#wantedRate());
    this.#rateTimer ??= setTimeout(() => {
      this.#rateTimer = undefined;
      this.#rateTouchedMs = performance.now();
      const perS = this.#wantedRate();
      void this.#do(undefined, async () => {
        await setRate(perS);
        this.say("good", `The publisher now sends ${plural(perS, "event")} a second.`);
      });
    }, RATE_EVERY_MS);
  }

  #wantedRate(): number {
    return this.#steps[Number(this.#rate.value)] ?? 1;
  }

  #writeRate(perS: number): void {
    setText(this.#rateValue, `${formatRate(perS)}/s`);
    this.#rate.setAttribute("aria-valuetext", `${plural(perS, "event")} a second`);
    const max = Number(this.#rate.max);
    this.#rate.style.setProperty("--part", max > 0 ? String(Number(this.#rate.value) / max) : "0");
  }

  /** Does something, and says why if it cannot be done. */
  async #do(announcement: string | undefined, action: () => Promise<void>): Promise<void> {
    this.#busy++;
    this.#enable();
    if (announcement !== undefined) this.say("busy", announcement);
    try {
      await action();
      this.#handlers.onChanged();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.say("bad", sentence(error.message, error.fix));
    } finally {
      this.#busy--;
      this.#enable();
    }
  }

  #enable(): void {
    const state = this.#state;
    const isReady = this.#isUp && state !== undefined;
    for (const { button, by } of this.#steppers) {
      const wouldDoNothing = by > 0 ? state?.nativePeers === state?.nativePeersMax : state?.nativePeers === 0;
      setDisabled(button, !isReady || wouldDoNothing);
    }
    for (const { fault, button } of this.#faults) explain(button, this.#whyNot((known) => whyNot(fault, known)));
    explain(this.#mesh, this.#whyNot(whyNoSwitch));
    const isMeshOn = state?.isMeshOn ?? true;
    this.#mesh.setAttribute("aria-checked", String(isMeshOn));
    setText(byId("mesh-word", HTMLElement), isMeshOn ? "On" : "Off");
    this.#rate.disabled = !isReady;
    byId("stage", HTMLElement).setAttribute("aria-busy", String(this.#busy > 0));
  }
}

/** A button that cannot be had now stays where it is, and says why to who points at it or presses it. */
function explain(button: HTMLButtonElement, reason: string | undefined): void {
  button.title = reason ?? "";
  if (reason === undefined) button.removeAttribute("aria-disabled");
  else button.setAttribute("aria-disabled", "true");
}

/** A button that loses its focus by being disabled throws keyboard users back to the top: `aria-disabled` it is. */
function setDisabled(button: HTMLButtonElement, isDisabled: boolean): void {
  if (document.activeElement === button && isDisabled && !button.disabled) button.setAttribute("aria-disabled", "true");
  else {
    button.removeAttribute("aria-disabled");
    button.disabled = isDisabled;
  }
}
