/** What has to be known of an item before the core takes it. Found out in the page, or in a Web Worker (`worker.ts`). */
import { type Event, Frame, type SignedMessage } from "../codec/index.js";
import type { Verifier } from "./verifier.js";

export interface Question {
  /** The signature is good if one of these made it. */
  readonly keys: readonly Uint8Array[];
  readonly signed: SignedMessage;
  /** The bytes of a frame whose events are wanted, too. */
  readonly frame: Uint8Array | undefined;
}

export interface Answer {
  readonly isGenuine: boolean;
  /** Undefined if they were not wanted, or are no events. Whoever reads them then finds out what is wrong. */
  readonly events: Event[] | undefined;
}

export async function inspect(verifier: Verifier, { keys, signed, frame }: Question): Promise<Answer> {
  for (const key of keys) {
    if (await verifier(key, signed.message, signed.signature)) return { isGenuine: true, events: eventsOf(frame) };
  }
  return { isGenuine: false, events: undefined };
}

function eventsOf(frame: Uint8Array | undefined): Event[] | undefined {
  try {
    return frame === undefined ? undefined : Frame.take(frame).events();
  } catch {
    return undefined;
  }
}

/** From the page to the worker. */
export interface Asked extends Question {
  readonly ticket: number;
}

/** From the worker to the page. */
export type Told = "ready" | (Answer & { readonly ticket: number });

/** The part of a worker's global scope that is used. */
export interface WorkerScope {
  onmessage: ((event: { readonly data: Asked }) => void) | null;
  postMessage: (told: Told) => void;
}

/** Answers what comes in, from now on. */
export function serve(scope: WorkerScope, verifier: Verifier): void {
  const answer = async ({ ticket, ...question }: Asked): Promise<void> => {
    scope.postMessage({ ticket, ...(await inspect(verifier, question)) });
  };
  scope.onmessage = ({ data }) => void answer(data);
  scope.postMessage("ready");
}
