/** Offer, answer, candidates: who may say what when, and what is kept until its turn. */
import type { Signal } from "../codec/index.js";
import {
  SIGNAL_CANDIDATES_MAX,
  SIGNAL_CANDIDATE_BYTES_MAX,
  SIGNAL_DESCRIPTION_BYTES_MAX,
} from "../codec/limits.js";

/** There is only the data section. */
const MID = "0";

export class Negotiation {
  readonly #connection: RTCPeerConnection;
  readonly #offers: boolean;
  readonly #say: (signal: Signal) => void;
  readonly #fail: () => void;
  /** Each step begins when the one before it is done. */
  #steps: Promise<void> = Promise.resolve();
  #isDescribed = false;
  #isEnded = false;
  #early: string[] = [];
  /** Candidates taken from the other end; more are ignored, because each is paired with each of ours. */
  #candidates = 0;
  /** Candidates of our own that were said; the hub would end the link for more. */
  #said = 0;

  /** `fail` is called where the other end's signaling makes no sense, or the browser cannot do what it should. */
  constructor(connection: RTCPeerConnection, offers: boolean, say: (signal: Signal) => void, fail: () => void) {
    this.#connection = connection;
    this.#offers = offers;
    this.#say = say;
    this.#fail = fail;
    connection.onicecandidate = ({ candidate }) => {
      // An empty one says that there are no more; nobody waits for that.
      if (candidate !== null && candidate.candidate !== "") this.#sayCandidate(candidate.candidate);
    };
    if (offers) this.#then(() => this.#describe());
  }

  onSignal(signal: Signal): void {
    this.#then(() => this.#onSignal(signal));
  }

  end(): void {
    this.#isEnded = true;
    this.#connection.onicecandidate = null;
  }

  #then(step: () => Promise<void>): void {
    this.#steps = this.#steps
      .then(async () => {
        if (!this.#isEnded) await step();
      })
      .catch(() => {
        this.#fail();
      });
  }

  async #onSignal(signal: Signal): Promise<void> {
    if (signal.kind === "candidate") {
      await this.#onCandidate(signal.candidate);
      return;
    }
    const isExpected = !this.#isDescribed && signal.kind === (this.#offers ? "answer" : "offer");
    if (!isExpected || !isDataOnly(signal.sdp)) throw new Error(`unexpected ${signal.kind}`);
    await this.#connection.setRemoteDescription({ type: signal.kind, sdp: signal.sdp });
    this.#isDescribed = true;
    if (signal.kind === "offer") await this.#describe();
    for (const candidate of this.#early.splice(0)) await this.#apply(candidate);
  }

  /** Makes our description and says it. */
  async #describe(): Promise<void> {
    await this.#connection.setLocalDescription();
    const description = this.#connection.localDescription;
    if (description === null) throw new Error("no description");
    if (description.sdp.length > SIGNAL_DESCRIPTION_BYTES_MAX) throw new Error("a description too long to be forwarded");
    this.#say({ kind: this.#offers ? "offer" : "answer", sdp: description.sdp });
  }

  #sayCandidate(candidate: string): void {
    if (candidate.length + MID.length > SIGNAL_CANDIDATE_BYTES_MAX || this.#said === SIGNAL_CANDIDATES_MAX) return;
    this.#said++;
    this.#say({ kind: "candidate", candidate, mid: MID });
  }

  async #onCandidate(candidate: string): Promise<void> {
    const isTaken = candidate !== "" && candidate.length <= SIGNAL_CANDIDATE_BYTES_MAX;
    if (!isTaken || this.#candidates === SIGNAL_CANDIDATES_MAX) return;
    this.#candidates++;
    if (this.#isDescribed) await this.#apply(candidate);
    else this.#early.push(candidate);
  }

  async #apply(candidate: string): Promise<void> {
    try {
      await this.#connection.addIceCandidate({ candidate, sdpMid: MID, sdpMLineIndex: 0 });
    } catch {
      // A candidate that this browser does not understand is no reason to give up the others.
    }
  }
}

/** A description for data and nothing else. Media would reserve decoders for a stranger. */
function isDataOnly(sdp: string): boolean {
  const sections = sdp.split(/\r?\n/).filter((line) => line.startsWith("m="));
  return sdp.length <= SIGNAL_DESCRIPTION_BYTES_MAX && sections.length === 1 && sections[0]?.startsWith("m=application ") === true;
}
