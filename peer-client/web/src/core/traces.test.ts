/** Replays what the peer of the other implementation was told and did: the same inputs must give the same outputs. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatPosition, parseSince } from "../codec/index.js";
import type { Signal } from "../codec/index.js";
import { verifyEd25519 } from "../testing/crypto.js";
import { type Delivery, type Input, type Output, Peer, type PeerConfig, type Status, type Target } from "./index.js";

interface Trace {
  description: string;
  config: {
    client: string;
    relay: PeerConfig["relay"] | null;
    log_bytes: number;
    log_entries: number;
    window_bytes: number;
    outbox_bytes: number;
    link_heartbeat_ms: number;
    link_answer_ms: number;
    link_setup_ms: number;
    welcome_timeout_ms: number;
    link_doubt_ms: number;
    lead_min_ms: number;
    lead_max_ms: number;
    lead_tier_ms: number;
    nack_wait_ms: number;
    nack_min_ms: number;
    again_bytes: number;
    hedge_ms: number;
    have_min_ms: number;
    have_max_ms: number;
    have_tail_ms: number;
    have_bytes: number;
  };
  steps: Step[];
}

type Step = { outputs: unknown[]; deliveries: unknown[] } & (
  | { now: number; input: InputJson }
  | { transmit: Target; bytes: string | null }
  | { reads: boolean }
);

type InputJson =
  | { type: "session_opened" | "session_closed" | "timeout" }
  | { type: "session_data"; bytes: string }
  | { type: "link_opened" | "link_closed"; link: number }
  | { type: "link_data"; link: number; bytes: string }
  | { type: "local_signal"; link: number; signal: Signal }
  | { type: "subscribe"; channel: string; since: string }
  | { type: "unsubscribe"; channel: string }
  | { type: "offer"; children_max: number };

const folder = join(process.cwd(), "../../mesh/traces");

function configOf(json: Trace["config"]): PeerConfig {
  return {
    client: json.client,
    relay: json.relay ?? undefined,
    log: { bytes: json.log_bytes, entries: json.log_entries },
    windowBytes: json.window_bytes,
    outboxBytes: json.outbox_bytes,
    linkHeartbeatUs: json.link_heartbeat_ms * 1000,
    linkAnswerUs: json.link_answer_ms * 1000,
    linkSetupUs: json.link_setup_ms * 1000,
    welcomeTimeoutUs: json.welcome_timeout_ms * 1000,
    linkDoubtUs: json.link_doubt_ms * 1000,
    leadMinUs: json.lead_min_ms * 1000,
    leadMaxUs: json.lead_max_ms * 1000,
    leadTierUs: json.lead_tier_ms * 1000,
    nackWaitUs: json.nack_wait_ms * 1000,
    nackMinUs: json.nack_min_ms * 1000,
    againBytes: json.again_bytes,
    hedgeUs: json.hedge_ms * 1000,
    have: {
      leastUs: json.have_min_ms * 1000,
      mostUs: json.have_max_ms * 1000,
      tailUs: json.have_tail_ms * 1000,
      bytes: json.have_bytes,
    },
  };
}

function inputOf(json: InputJson): Input {
  switch (json.type) {
    case "session_opened":
      return { type: "sessionOpened" };
    case "session_closed":
      return { type: "sessionClosed" };
    case "timeout":
      return { type: "timeout" };
    case "session_data":
      return { type: "sessionData", bytes: unhex(json.bytes) };
    case "link_opened":
      return { type: "linkOpened", link: json.link };
    case "link_closed":
      return { type: "linkClosed", link: json.link };
    case "link_data":
      return { type: "linkData", link: json.link, bytes: unhex(json.bytes) };
    case "local_signal":
      return { type: "localSignal", link: json.link, signal: json.signal };
    case "subscribe":
      return { type: "subscribe", channel: json.channel, since: parseSince(json.since) };
    case "unsubscribe":
      return { type: "unsubscribe", channel: json.channel };
    case "offer":
      return { type: "offer", childrenMax: json.children_max };
  }
}

function outputJson(output: Exclude<Output, { type: "verify" }>): unknown {
  switch (output.type) {
    case "transmit":
      return output;
    case "closeSession":
      return { type: "close_session", code: output.code };
    case "openLink":
      return { ...output, type: "open_link", via: output.via ?? null };
    case "remoteSignal":
      return { ...output, type: "remote_signal" };
    case "closeLink":
      return { type: "close_link", link: output.link, bye: output.bye === undefined ? null : hex(output.bye) };
    case "status":
      return statusJson(output.status);
  }
}

function statusJson(status: Status): unknown {
  const { kind: type, ...rest } = status;
  switch (status.kind) {
    case "welcome":
      return { type, peer: status.peer, server_time_us: status.serverTimeUs };
    case "subscribed":
      return { type, ...rest, position: formatPosition(status.position) };
    case "refused":
      return {
        type,
        channel: status.channel ?? null,
        code: status.code,
        reason: status.reason,
        retry_after_ms: status.retryAfterMs ?? null,
      };
    case "parent":
      return { type, ...rest, parent: status.parent ?? null };
    case "placed":
    case "children":
    case "link_lost":
      return { type, ...rest };
  }
}

function deliveryJson(delivery: Delivery): unknown {
  if (delivery.kind === "caught_up") return { type: "caught_up", position: formatPosition(delivery.position) };
  if (delivery.kind === "gap") {
    const { from, to, reason } = delivery;
    return { type: "gap", from: formatPosition(from), to: formatPosition(to), reason };
  }
  const { position, sealedUs, event } = delivery;
  return {
    type: "event",
    position: formatPosition(position),
    sealed_us: sealedUs,
    routing_key: event.routingKey,
    body: hex(event.body),
  };
}

/** The outputs so far; signatures are checked at once, as if the core did it itself. */
function takeOutputs(peer: Peer, now: number): unknown[] {
  const outputs: unknown[] = [];
  for (let output = peer.pollOutput(); output; output = peer.pollOutput()) {
    if (output.type !== "verify") {
      outputs.push(outputJson(output));
      continue;
    }
    const { ticket, keys, signed } = output;
    const isGenuine = keys.some((key) => verifyEd25519(key, signed.message, signed.signature));
    peer.handle(now, { type: "verified", ticket, isGenuine });
  }
  return outputs;
}

function takeDeliveries(peer: Peer): unknown[] {
  const deliveries: unknown[] = [];
  for (let delivery = peer.pollDelivery(); delivery; delivery = peer.pollDelivery()) {
    deliveries.push(deliveryJson(delivery));
  }
  return deliveries;
}

/** Does what a step says; gives the step with what came of it. */
function replay(peer: Peer, step: Step, now: number, reads: boolean): Step {
  const bytes = "transmit" in step ? peer.pollTransmit(step.transmit) : undefined;
  if ("input" in step) peer.handle(now, inputOf(step.input));
  const outputs = takeOutputs(peer, now);
  const deliveries = reads ? takeDeliveries(peer) : [];
  outputs.push(...takeOutputs(peer, now));
  if ("transmit" in step) return { ...step, bytes: bytes === undefined ? null : hex(bytes), outputs, deliveries };
  return { ...step, outputs, deliveries };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}

for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
  const trace = JSON.parse(readFileSync(join(folder, file), "utf8")) as Trace;
  test(`${file}: ${trace.description}`, () => {
    const peer = new Peer(configOf(trace.config));
    let now = 0;
    let reads = true;
    trace.steps.forEach((step, number) => {
      if ("now" in step) now = step.now;
      if ("reads" in step) reads = step.reads;
      assert.deepEqual(replay(peer, step, now, reads), step, `step ${number}`);
    });
  });
}
