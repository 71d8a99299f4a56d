/** The test page: a peer that tells the test everything it is given. */
import { type Client, type Notification, type Subscription, type SubscriptionStatus, connect, formatPosition } from "tiercast-peer";
import type { PageMessage, PageOptions } from "./messages.js";

declare global {
  // What the test calls, and what calls the test.
  var tiercastPage: {
    readonly open: (options: PageOptions) => void;
    readonly client: () => Client;
    readonly subscription: () => Subscription;
  };
  var tellTest: (messages: string) => Promise<void>;
}

let client: Client | undefined;
let subscription: Subscription | undefined;
let waiting: PageMessage[] = [];

/** So that a call to the test, which costs more than an event, is not made for each. */
const GATHER_MS = 40;


function tell(message: PageMessage): void {
  if (waiting.length === 0) {
    setTimeout(() => {
      const messages = JSON.stringify(waiting);
      waiting = [];
      void tellTest(messages);
    }, GATHER_MS);
  }
  waiting.push(message);
}

function open({ urls, channel, since, match, connecting }: PageOptions): void {
  const opened = connect(urls, { ...connecting, client: "browser-tests" });
  client = opened;
  opened.on("status", (status) => {
    if (status.kind === "connected") tell({ kind: "connected", peer: status.peer });
    else if (status.kind === "link_lost") tell({ kind: "link_lost", peer: status.peer, code: status.code });
    else if (status.kind === "disconnected" || status.kind === "closed") {
      tell({ kind: "disconnected", reason: `${status.code} ${status.reason}`, isForGood: status.kind === "closed" });
    }
  });
  const subscribed = opened.subscribe(channel, { since, match });
  subscription = subscribed;
  subscribed.on("status", ({ status }) => {
    tellStatus(status);
  });
  subscribed.on("event", tellNotification);
  subscribed.on("gap", tellNotification);
}

function tellStatus(status: SubscriptionStatus): void {
  switch (status.kind) {
    case "subscribed":
      tell({ kind: "subscribed", position: formatPosition(status.position), recovered: status.recovered });
      break;
    case "placed":
    case "children":
      tell(status);
      break;
    case "parent":
      tell({ kind: "parent", parent: status.parent ?? null });
      break;
    case "refused":
      tell({ kind: "disconnected", reason: `refused: ${status.code} ${status.reason}`, isForGood: true });
      break;
    case "recovered":
    case "paused":
    case "resumed":
    case "not_remembered":
      break;
  }
}

function tellNotification(notification: Notification): void {
  if (notification.type === "gap") {
    const { from, to, reason } = notification;
    tell({ kind: "gap", from: formatPosition(from), to: formatPosition(to), reason });
    return;
  }
  const { position, routingKey, exchange, contentType, messageId, timestamp, headers, body } = notification;
  tell({
    kind: "event",
    position: formatPosition(position),
    routingKey,
    exchange,
    contentType: contentType ?? null,
    messageId: messageId ?? null,
    timestamp: timestamp === undefined ? null : Number(timestamp),
    headers: { ...headers },
    body: base64(body),
  });
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

function existing<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("the page was not opened");
  return part;
}

globalThis.tiercastPage = { open, client: () => existing(client), subscription: () => existing(subscription) };
