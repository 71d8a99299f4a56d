/** Runs in a Web Worker (`dist/tiercast-worker.js`): answers what the page's `Inspector` asks. */
import { type WorkerScope, serve } from "./io/inspection.js";
import { createVerifier } from "./io/verifier.js";

void createVerifier().then((verifier) => {
  serve(globalThis as unknown as WorkerScope, verifier);
});
