/** Has items inspected: by a Web Worker from when it is ready, else by the page itself. */
import type { Event, HeaderTable, HeaderValue } from "../codec/index.js";
import type { Verification } from "../core/index.js";
import { type Answer, type Asked, type Question, type Told, inspect } from "./inspection.js";
import type { Verifier } from "./verifier.js";

/** Undefined where there are no workers. May throw, too. */
export type OpenWorker = () => Worker | undefined;

/** Most questions that a worker has not answered where another one is asked before its turn. */
const AHEAD_MAX = 64;

/** A worker that does not answer for so long is given up: the browser may have ended it without a word. */
const ANSWER_MAX_MS = 10_000;

export class Inspector {
  readonly #verifier: Promise<Verifier>;
  readonly #noWorker: (reason: string) => void;
  #worker: Worker | undefined;
  #isReady = false;
  /** What the worker was asked and has not answered, by ticket: what was asked ahead, and one for each session and link. */
  readonly #asked = new Map<number, { readonly question: Question; readonly resolve: (answer: Answer) => void }>();
  #tickets = 0;
  /** Runs while there is a question, from the last answer on. */
  #patience: ReturnType<typeof setTimeout> | undefined;
  /** What was asked before its turn: by the message that a signature came in, and its place there. */
  readonly #foreseen = new WeakMap<ArrayBufferLike, Map<number, Foreseen>>();

  /** `noWorker` is told why there is none although one is wanted. */
  constructor(verifier: Promise<Verifier>, openWorker: OpenWorker | undefined, noWorker: (reason: string) => void) {
    this.#verifier = verifier;
    this.#noWorker = noWorker;
    if (openWorker !== undefined) this.#start(openWorker);
  }

  /** Whether it is of use to ask before it is an item's turn. */
  get isAhead(): boolean {
    return this.#isReady && this.#asked.size < AHEAD_MAX;
  }

  /** This will be asked, unless something comes in between. */
  foresee(verification: Verification): void {
    if (!this.isAhead) return;
    const { buffer, byteOffset } = verification.signed.signature;
    const places = this.#foreseen.get(buffer) ?? new Map<number, Foreseen>();
    this.#foreseen.set(buffer, places.set(byteOffset, { keys: verification.keys, answer: this.#ask(verification) }));
  }

  /**
   * Whether one of the keys made the signature. Of a frame the worker decodes the events as well; the page does not, which
   * can do that when they are read.
   */
  async isGenuine(verification: Verification): Promise<boolean> {
    if (!this.#isReady) return this.#here({ ...verification, frame: undefined });
    const { isGenuine, events } = await (this.#takeForeseen(verification) ?? this.#ask(verification));
    if (events !== undefined) verification.frame?.prepare(events.map(asDecoded));
    return isGenuine;
  }

  /** There is nothing more to inspect. */
  end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#isReady = false;
    this.#asked.clear();
    this.#waitForAnswer();
  }

  async #here(question: Question): Promise<boolean> {
    return (await inspect(await this.#verifier, question)).isGenuine;
  }

  #start(openWorker: OpenWorker): void {
    try {
      this.#worker = openWorker();
    } catch (error) {
      this.#fail(String(error));
      return;
    }
    if (this.#worker === undefined) {
      this.#fail("there are no Web Workers here");
      return;
    }
    this.#worker.onmessage = ({ data }: MessageEvent<Told>) => {
      this.#onTold(data);
    };
    // It has no message if the script cannot be loaded.
    this.#worker.onerror = ({ message = "its script cannot be loaded" }: Partial<ErrorEvent>) => {
      this.#fail(message);
    };
  }

  /** The answer may be kept by nobody: the message's memory stays as long as the frame is in the log. */
  #takeForeseen({ keys, signed: { signature } }: Verification): Promise<Answer> | undefined {
    const places = this.#foreseen.get(signature.buffer);
    const foreseen = places?.get(signature.byteOffset);
    places?.delete(signature.byteOffset);
    // Other keys may say something else.
    return foreseen?.keys === keys ? foreseen.answer : undefined;
  }

  #ask({ frame, ...rest }: Verification): Promise<Answer> {
    const question: Question = { ...rest, frame: frame?.bytes };
    const ticket = ++this.#tickets;
    return new Promise((resolve) => {
      this.#asked.set(ticket, { question, resolve });
      this.#worker?.postMessage(asked(ticket, question));
      if (this.#asked.size === 1) this.#waitForAnswer();
    });
  }

  #onTold(told: Told): void {
    if (told === "ready") {
      this.#isReady = true;
      return;
    }
    const { ticket, ...answer } = told;
    this.#asked.get(ticket)?.resolve(answer);
    this.#asked.delete(ticket);
    this.#waitForAnswer();
  }

  #waitForAnswer(): void {
    clearTimeout(this.#patience);
    if (this.#asked.size === 0) return;
    this.#patience = setTimeout(() => {
      this.#fail(`no answer for ${String(ANSWER_MAX_MS / 1000)} s`);
    }, ANSWER_MAX_MS);
  }

  /** The page does what the worker does not do. */
  #fail(reason: string): void {
    const left = [...this.#asked.values()];
    this.end();
    this.#noWorker(reason);
    for (const { question, resolve } of left) {
      void this.#here(question).then((isGenuine) => {
        resolve({ isGenuine, events: undefined });
      });
    }
  }
}

interface Foreseen {
  readonly keys: readonly Uint8Array[];
  readonly answer: Promise<Answer>;
}

/** Copies only what is meant: a view would bring all of the memory that it is a view of. */
function asked(ticket: number, { keys, signed: { message, signature }, frame }: Question): Asked {
  return { ticket, keys, signed: { message, signature: signature.slice() }, frame: frame?.slice() };
}

/** What comes from a worker is a copy, whose headers have got a prototype. */
function asDecoded(event: Event): Event {
  return { ...event, headers: withoutPrototype(event.headers) };
}

function withoutPrototype(table: HeaderTable): HeaderTable {
  const bareTable = Object.create(null) as Record<string, HeaderValue>;
  for (const [key, value] of Object.entries(table)) bareTable[key] = bare(value);
  return bareTable;
}

function bare(value: HeaderValue): HeaderValue {
  if (Array.isArray(value)) return (value as readonly HeaderValue[]).map(bare);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return withoutPrototype(value as HeaderTable);
}
