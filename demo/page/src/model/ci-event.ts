/** What an event of the demo's channel says: a build has started, passed or failed. */
import { isRecord } from "./json.js";

export type BuildStatus = "started" | "passed" | "failed" | "other";

export interface CiEvent {
  readonly status: BuildStatus;
  /** The repository; the routing key where the body names none. */
  readonly repo: string;
  readonly branch: string;
  readonly durationMs: number | undefined;
}

const WORDS: Readonly<Record<string, BuildStatus>> = {
  started: "started",
  running: "started",
  pending: "started",
  passed: "passed",
  success: "passed",
  completed: "passed",
  failed: "failed",
  failure: "failed",
  error: "failed",
};

/** Longest text taken out of a body. */
const TEXT_MAX = 80;
const decoder = new TextDecoder();

/** Reads a body. Never throws: what is not a build is shown by its routing key. */
export function parseCiEvent(routingKey: string, body: Uint8Array): CiEvent {
  const fields = parseObject(body);
  return {
    status: statusOf(fields["status"]) ?? statusOf(routingKey.split(".").at(-1)) ?? "other",
    repo: text(fields["repo"]) ?? routingKey.slice(0, TEXT_MAX),
    branch: text(fields["branch"]) ?? "",
    durationMs: number(fields["duration_ms"]),
  };
}

function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(decoder.decode(body));
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function statusOf(word: unknown): BuildStatus | undefined {
  return typeof word === "string" && Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, TEXT_MAX) : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}
