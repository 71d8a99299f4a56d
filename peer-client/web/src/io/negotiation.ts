/** Offer, answer, candidates: who may say what when, and what is kept until its turn. */
import type { Signal } from "../codec/index.js";

/** Longest description taken, in characters. A data-only one is about 500, plus 80 per candidate. */
const SDP_LENGTH_MAX = 16 << 10;
/** Longest candidate taken. */
const CANDIDATE_LENGTH_MAX = 512;
/** Candidates taken from the other end; more are ignored, because each is paired with each of ours. */
const CANDIDATES_MAX = 64;
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
  #candidates = 0;

  /** `fail` is called where the other end's signaling makes no sense, or the browser cannot do what it should. */
  constructor(connection: RTCPeerConnection, offers: boolean, say: (signal: Signal) => void, fail: () => void) {
    this.#connection = connection;
    this.#offers = offers;
    this.#say = say;
    this.#fail = fail;
    connection.onicecandidate = ({ candidate }) => {
      // An empty one says that there are no more; nobody waits for that.
      if (candidate !== null && candidate.candidate !== "") {
        say({ kind: "candidate", candidate: candidate.candidate, mid: MID });
      }
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
    this.#say({ kind: this.#offers ? "offer" : "answer", sdp: description.sdp });
  }

  async #onCandidate(candidate: string): Promise<void> {
    if (candidate === "" || candidate.length > CANDIDATE_LENGTH_MAX || this.#candidates === CANDIDATES_MAX) return;
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
  return sdp.length <= SDP_LENGTH_MAX && sections.length === 1 && sections[0]?.startsWith("m=application ") === true;
}
