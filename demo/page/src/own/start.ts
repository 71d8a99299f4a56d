/** The browser peer of `peer-client/web`. The only file that knows its package. */
import { type Client, type ClientStatus, type HeaderValue, type Subscription, codeName, connect } from "tiercast-peer";
import type { OwnPeer, OwnPeerListener, OwnPeerOptions, OwnSnapshot, OwnState } from "./own-peer.js";

/** The demo's publisher numbers its events and says when it sent them. */
const NUMBER_HEADER = "tiercast-number";
const SENT_HEADER = "tiercast-sent-us";

/** Joins the channel on the server that this page came from. */
export function startOwnPeer({ channel, relay, since }: OwnPeerOptions, listener: OwnPeerListener): OwnPeer {
  const client = connect("/", { relay: relay ? "polite" : "never", client: "tiercast-demo-page/0.1.0" });
  let state: OwnState = { kind: "connecting" };
  client.on("status", (status) => {
    state = nextState(state, status);
  });
  const subscription = client.subscribe(channel, { since: since ?? "now" });
  listen(subscription, listener, (reason) => {
    state = { kind: "ended", reason };
  });
  return {
    snapshot: () => snapshot(client, channel, state),
    close: () => {
      client.close();
    },
  };
}

function listen(subscription: Subscription, listener: OwnPeerListener, onRefused: (reason: string) => void): void {
  subscription.on("event", ({ position, routingKey, body, headers, sealedUs }) => {
    const number = integer(headers[NUMBER_HEADER]);
    listener.onEvent({ position, routingKey, body, number, sentUs: integer(headers[SENT_HEADER]) ?? sealedUs });
  });
  subscription.on("gap", ({ from, to }) => {
    listener.onGap(from, to);
  });
  subscription.on("status", ({ status }) => {
    if (status.kind === "refused") onRefused(`${codeName(status.code)}: ${status.reason}`);
  });
}

function integer(value: HeaderValue | undefined): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) ? value : undefined;
}

function nextState(state: OwnState, status: ClientStatus): OwnState {
  switch (status.kind) {
    case "connecting":
      return state.kind === "reconnecting" ? { kind: "reconnecting", retryAtMs: undefined } : { kind: "connecting" };
    case "connected":
      return { kind: "connected" };
    case "reconnecting":
      return { kind: "reconnecting", retryAtMs: performance.now() + status.delayMs };
    case "closed":
      return { kind: "ended", reason: `${codeName(status.code)}: ${status.reason}` };
    case "disconnected":
    case "refused":
    case "link_lost":
    case "no_worker":
      return state;
  }
}

function snapshot(client: Client, channel: string, state: OwnState): OwnSnapshot {
  const stats = client.stats();
  const place = stats.channels.find((candidate) => candidate.channel === channel);
  return {
    state,
    peer: stats.peer,
    tier: place?.tier ?? 0,
    parent: place?.parent,
    children: place?.children ?? [],
    relayedBytes: stats.relayedBytes,
    reconnects: stats.reconnects,
    clockOffsetUs: stats.clockOffsetUs,
  };
}
