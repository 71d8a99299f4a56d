/** A Web Worker in the same thread: messages are copied, as to a real one, and come later. */
import { type Asked, type Told, type WorkerScope, serve } from "../io/inspection.js";
import { verifyEd25519 } from "./crypto.js";

export class FakeWorker {
  onmessage: ((event: { readonly data: Told }) => void) | null = null;
  onerror: ((event: { readonly message: string }) => void) | null = null;
  isTerminated = false;
  readonly asked: Asked[] = [];
  readonly #scope: WorkerScope = {
    onmessage: null,
    postMessage: (told) => {
      const data = structuredClone(told);
      setTimeout(() => this.onmessage?.({ data }), 0);
    },
  };

  /** It has been loaded. */
  load(): void {
    serve(this.#scope, (key, message, signature) => Promise.resolve(verifyEd25519(key, message, signature)));
  }

  /** Answers nothing more. */
  hang(): void {
    this.#scope.onmessage = null;
  }

  postMessage(asked: Asked): void {
    const data = structuredClone(asked);
    this.asked.push(data);
    setTimeout(() => this.#scope.onmessage?.({ data }), 0);
  }

  terminate(): void {
    this.isTerminated = true;
    this.hang();
  }

  asWorker(): Worker {
    return this as unknown as Worker;
  }
}
