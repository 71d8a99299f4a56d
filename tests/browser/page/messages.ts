/** What the test page and the tests say to each other. */
import type { ConnectOptions } from "tiercast-peer";

export interface PageOptions {
  readonly urls: readonly string[];
  readonly channel: string;
  readonly since: string;
  readonly match: readonly string[];
  readonly connecting: ConnectOptions;
}

/** Told to the test as it happens; JSON. */
export type PageMessage =
  | {
      readonly kind: "event";
      readonly position: string;
      readonly routingKey: string;
      readonly exchange: string;
      readonly contentType: string | null;
      readonly messageId: string | null;
      readonly timestamp: number | null;
      readonly headers: Readonly<Record<string, unknown>>;
      /** Base64. */
      readonly body: string;
    }
  | { readonly kind: "gap"; readonly from: string; readonly to: string; readonly reason: string }
  | { readonly kind: "connected"; readonly peer: number }
  | { readonly kind: "disconnected"; readonly reason: string; readonly isForGood: boolean }
  | { readonly kind: "subscribed"; readonly position: string; readonly recovered: boolean }
  | { readonly kind: "placed"; readonly tier: number }
  | { readonly kind: "parent"; readonly parent: number | null }
  | { readonly kind: "children"; readonly count: number }
  | { readonly kind: "link_lost"; readonly peer: number; readonly code: number };
