/** The demo's HTTP interface, on the origin the page came from. */
import { type DemoState, parseDemoState } from "../model/demo-state.js";
import { Fields, isRecord } from "../model/json.js";
import { type PeerInfo, parseTopology } from "../model/topology.js";

/** How long an answer is waited for. */
const TIMEOUT_MS = 4_000;
/** A server that is restarted lets events that are under way arrive first. */
const SLOW_MS = 15_000;

/** Why a request came to nothing. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** `unreachable`: no answer. `refused`: the server said no, and `message` says why. `unexpected`: not its answer. */
  readonly reason: "unreachable" | "refused" | "unexpected";
  /** What to do about it, if the server said. */
  readonly fix: string | undefined;

  constructor(reason: "unreachable" | "refused" | "unexpected", message: string, fix?: string) {
    super(message);
    this.reason = reason;
    this.fix = fix;
  }
}

/** What a fault did. */
export interface Struck {
  /** Those who were struck themselves. */
  readonly victims: readonly number[];
  /** How many were fed by way of them. */
  readonly below: number;
}

export async function readState(): Promise<DemoState> {
  return parse(parseDemoState, await request("/demo/state"));
}

export async function readTopology(channel: string): Promise<PeerInfo[]> {
  return parse(parseTopology, await request(`/v1/topology/${encodeURIComponent(channel)}`));
}

/** Adds native peers, as many as there is room for; gives how many. */
export async function addPeers(count: number): Promise<number> {
  return parse((json) => new Fields(json, "").number("added"), await request("/demo/peers", { add: count }));
}

/** Removes native peers, as many as there are; gives how many. */
export async function removePeers(count: number): Promise<number> {
  return parse((json) => new Fields(json, "").number("removed"), await request("/demo/peers", { remove: count }));
}

/** Lets something go wrong; `who`: as `experiment --help` says, such as `1:tier1` or `30%`. */
export async function strike(fault: string, who: string | undefined): Promise<Struck> {
  return parse(parseStruck, await request("/demo/fault", { fault, ...(who === undefined ? {} : { who }) }, SLOW_MS));
}

/** Lets all native peers relay, or none. */
export async function switchMesh(on: boolean): Promise<void> {
  await request("/demo/mesh", { on });
}

function parseStruck(json: unknown): Struck {
  const fields = new Fields(json, "");
  return { victims: fields.list("victims"), below: fields.number("below") };
}

export async function setRate(perS: number): Promise<void> {
  await request("/demo/rate", { rate_per_s: perS });
}

/** GET, or POST if there is a body. */
async function request(
  path: string,
  body?: Readonly<Record<string, number | string | boolean>>,
  timeoutMs = TIMEOUT_MS,
): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined
        ? {}
        : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch {
    throw new ApiError("unreachable", "The server does not answer.");
  }
  const json = parseJson(text);
  if (response.ok) return json;
  if (isRecord(json) && typeof json["error"] === "string") {
    const { error, fix } = json;
    throw new ApiError("refused", error, typeof fix === "string" ? fix : undefined);
  }
  throw new ApiError("unexpected", `The server answered ${response.status} to ${path}.`);
}

function parse<T>(read: (json: unknown) => T, json: unknown): T {
  try {
    return read(json);
  } catch (error) {
    throw new ApiError("unexpected", error instanceof Error ? error.message : String(error));
  }
}

/** Undefined if it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
