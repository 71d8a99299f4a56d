/** The server's batch endpoint: a request, and what its answer means. */
import { parseChannelName } from "../codec/channel.js";
import { type Position, parsePosition } from "../codec/position.js";
import { EmitError } from "./emit-error.js";

/**
 * What became of a batch. `refused`: the server takes it neither now nor later, for what is in it; `all_refused`: it takes none,
 * whatever is in it. `unknown`: it may be published or not, and is to be sent again, not before `retryAfterMs`.
 */
export type Outcome =
  | { readonly kind: "published"; readonly positions: readonly Position[] }
  | { readonly kind: "refused" | "all_refused"; readonly error: EmitError }
  | { readonly kind: "unknown"; readonly reason: string; readonly retryAfterMs: number };

export class BatchEndpoint {
  readonly #url: URL;
  readonly #headers: Headers;

  constructor(server: string | URL, channel: string, key: string) {
    this.#url = urlOf(server, parseChannelName(channel));
    try {
      this.#headers = new Headers({ authorization: `Bearer ${key}`, "content-type": "application/json" });
    } catch {
      throw new EmitError("bad_key", "the key has characters that no HTTP header can hold: give an API key of the server");
    }
  }

  /** Publishes a batch of so many events, with an answer within so long. */
  async post(body: string, events: number, answerMs: number): Promise<Outcome> {
    try {
      const signal = AbortSignal.timeout(answerMs);
      const response = await fetch(this.#url, { method: "POST", headers: this.#headers, body, signal });
      return outcomeOf(response, await response.text(), events);
    } catch (error) {
      return { kind: "unknown", reason: `${this.#url.origin} does not answer: ${described(error)}`, retryAfterMs: 0 };
    }
  }
}

function urlOf(server: string | URL, channel: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (url === undefined || !isHttp || url.username !== "" || url.password !== "" || url.search !== "") {
    throw new EmitError("bad_server", "this is no address of a server: write one such as https://events.example.org");
  }
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/publish/${channel}/batch`;
  url.hash = "";
  return url;
}

function outcomeOf({ status, headers }: Response, text: string, events: number): Outcome {
  if (status === 200) return published(text, events);
  const { error, fix, code } = refusalOf(text);
  if (status === 408 || status === 429 || status >= 500) {
    const retryAfterMs = 1_000 * (Number(headers.get("retry-after")) || 0);
    return { kind: "unknown", reason: `the server answered with ${status}: ${error}`, retryAfterMs };
  }
  const problem = `the server refused the event (HTTP ${status}): ${error}: ${fix}`;
  const kind = status === 400 || status === 413 ? "refused" : "all_refused";
  return { kind, error: new EmitError("refused", problem, status, code) };
}

function published(text: string, events: number): Outcome {
  try {
    const answer = JSON.parse(text) as { readonly events: readonly { readonly position: string }[] };
    const positions = answer.events.map(({ position }) => parsePosition(position));
    if (positions.length === events) return { kind: "published", positions };
    const reason = `the answer is about ${positions.length} events instead of ${events}`;
    return { kind: "unknown", reason, retryAfterMs: 0 };
  } catch (error) {
    return { kind: "unknown", reason: `the answer is not understood: ${described(error)}`, retryAfterMs: 0 };
  }
}

interface Refusal {
  readonly error: string;
  readonly fix: string;
  readonly code?: number;
}

/** What the server says about a refusal. What a proxy says is not JSON. */
function refusalOf(text: string): Refusal {
  try {
    const { error, fix, code } = JSON.parse(text) as Partial<Refusal>;
    return { error: String(error), fix: String(fix), ...(typeof code === "number" ? { code } : {}) };
  } catch {
    return { error: text.trim().slice(0, 200), fix: "ask whoever runs what stands before the server" };
  }
}

function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // What Node's `fetch` knows about it.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
