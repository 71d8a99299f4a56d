/** What the demo binary says of itself and its native peers: `GET /demo/state`. */
import { type Card, parseCard } from "./card.js";
import { Fields } from "./json.js";

/** What the server has sent since the demo started, also before it was restarted. */
export interface ServerCounters {
  readonly events: number;
  /** Bytes of frames sent. */
  readonly dataBytes: number;
  /** Bytes of everything else sent: signaling, assignments, heads. */
  readonly controlBytes: number;
  /** Bytes of frames that sending to every subscriber would have taken. */
  readonly directDataBytes: number;
}

/** What the native peers have seen, together. */
export interface SwarmFigures {
  readonly delivered: number;
  readonly missing: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
}

/** Peers to which something was done. */
export interface Marked {
  /** Dead, and still in the tree: the server waits whether they come back. */
  readonly killed: readonly number[];
  /** Their processes are stopped. */
  readonly frozen: readonly number[];
  /** They were made to lie. */
  readonly liars: readonly number[];
}

export interface DemoState extends Marked {
  readonly channel: string;
  readonly ratePerS: number;
  readonly ratePerSMax: number;
  readonly nativePeers: number;
  readonly nativePeersMax: number;
  /** Native peers that feed others. */
  readonly relays: number;
  /** Native peers in tier 1. */
  readonly tier1: number;
  readonly isMeshOn: boolean;
  readonly server: ServerCounters;
  readonly swarm: SwarmFigures;
  /** The newest first. */
  readonly cards: readonly Card[];
}

/** Throws a ShapeError. */
export function parseDemoState(json: unknown): DemoState {
  const state = new Fields(json, "");
  const server = state.object("server");
  const swarm = state.object("swarm");
  const latency = swarm.object("latency_ms");
  return {
    channel: state.string("channel"),
    ratePerS: state.number("rate_per_s"),
    ratePerSMax: state.number("rate_max_per_s"),
    nativePeers: state.number("native_peers"),
    nativePeersMax: state.number("native_peers_max"),
    relays: state.number("relays"),
    tier1: state.number("tier1"),
    isMeshOn: state.boolean("is_mesh_on"),
    killed: state.list("killed"),
    frozen: state.list("frozen"),
    liars: state.list("liars"),
    server: {
      events: server.number("events"),
      dataBytes: server.number("data_bytes"),
      controlBytes: server.number("control_bytes"),
      directDataBytes: server.number("direct_data_bytes"),
    },
    swarm: {
      delivered: swarm.number("delivered"),
      missing: swarm.number("missing"),
      duplicates: swarm.number("duplicates"),
      outOfOrder: swarm.number("out_of_order"),
      p50Ms: measured(latency, "p50"),
      p99Ms: measured(latency, "p99"),
    },
    cards: state.objects("incidents").map(parseCard),
  };
}

/** 0 says that nothing was measured. */
function measured(latency: Fields, name: string): number | undefined {
  const ms = latency.numberOrNull(name);
  return ms === 0 ? undefined : ms;
}
