/** Takes the browser peer's place in the mock: events and neighbours come from mock/server.mjs. */
import type { OwnPeer, OwnPeerListener, OwnPeerOptions, OwnSnapshot, OwnState } from "../src/own/own-peer.js";

const RETRY_MS = 3_000;

/** What mock/server.mjs sends; the two are one tool, so it is taken at its word. */
interface Tick {
  readonly own: {
    readonly peer: number;
    readonly tier: number;
    readonly parent: number | null;
    readonly children: readonly { readonly peer: number; readonly bytes: number }[];
  };
  readonly epoch: number;
  readonly events: readonly {
    readonly offset: number;
    readonly routing_key: string;
    readonly number: number;
    readonly sent_us: number;
    readonly body: unknown;
  }[];
}

export function startOwnPeer({ relay, since }: OwnPeerOptions, listener: OwnPeerListener): OwnPeer {
  let state: OwnState = { kind: "connecting" };
  let own: Tick["own"] | undefined;
  let sessions = 0;
  let last = since?.offset;
  /** What is under way; in order, so what is due waits for what came before it. */
  const queue: { readonly tick: Tick; readonly dueMs: number }[] = [];
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const encoder = new TextEncoder();

  const deliver = (): void => {
    for (let next = queue[0]; next !== undefined && next.dueMs <= performance.now() + 1; next = queue[0]) {
      queue.shift();
      const { epoch, events } = next.tick;
      for (const { offset, routing_key, number, sent_us, body } of events) {
        const position = { epoch, offset };
        last = offset;
        const bytes = encoder.encode(JSON.stringify(body));
        listener.onEvent({ position, routingKey: routing_key, body: bytes, number, sentUs: sent_us });
      }
    }
  };

  const open = (): void => {
    source = new EventSource(`/mock/events?relay=${String(relay)}${last === undefined ? "" : `&since=${last}`}`);
    source.onopen = () => {
      state = { kind: "connected" };
      sessions++;
    };
    source.onerror = () => {
      source.close();
      own = undefined;
      state = { kind: "reconnecting", retryAtMs: performance.now() + RETRY_MS };
      timer = setTimeout(open, RETRY_MS);
    };
    source.onmessage = (message: MessageEvent<string>) => {
      const tick = JSON.parse(message.data) as Tick;
      own = tick.own;
      const delayMs = 2 + Math.random() * 3 + (Math.random() < 0.02 ? 8 : 0);
      queue.push({ tick, dueMs: performance.now() + delayMs });
      setTimeout(deliver, delayMs);
    };
  };
  open();

  return {
    snapshot: (): OwnSnapshot => ({
      state,
      peer: own?.peer,
      tier: own?.tier ?? 0,
      parent: own?.parent ?? undefined,
      children: own?.children ?? [],
      relayedBytes: (own?.children ?? []).reduce((sum, { bytes }) => sum + bytes, 0),
      reconnects: Math.max(0, sessions - 1),
      clockOffsetUs: undefined,
    }),
    close: () => {
      clearTimeout(timer);
      source.close();
    },
  };
}
