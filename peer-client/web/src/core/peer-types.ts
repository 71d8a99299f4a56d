/** What goes into a peer and what comes out of it. */
import type { Code, Frame, IceServer, Position, Signal, SignedMessage, Since } from "../codec/index.js";

/** What happens to a peer. */
export type Input =
  /** The connection to the server is open. */
  | { readonly type: "sessionOpened" }
  /** The server sent a message. */
  | { readonly type: "sessionData"; readonly bytes: Uint8Array }
  /** The connection to the server is gone. Said in every case, also after the output `closeSession`. */
  | { readonly type: "sessionClosed" }
  /** A link's data channel is open. */
  | { readonly type: "linkOpened"; readonly link: number }
  /** A link brought a message. */
  | { readonly type: "linkData"; readonly link: number; readonly bytes: Uint8Array }
  /** A link is gone, or could not be set up. Said in every case but that of the output `closeLink`. */
  | { readonly type: "linkClosed"; readonly link: number }
  /** A link's transport has something for the transport at the other end. */
  | { readonly type: "localSignal"; readonly link: number; readonly signal: Signal }
  /** The answer to the output `verify`. Without one, nothing more is read from where the item came from. */
  | { readonly type: "verified"; readonly ticket: number; readonly isGenuine: boolean }
  /** The application wants a channel. */
  | { readonly type: "subscribe"; readonly channel: string; readonly since: Since }
  /** The application wants a channel no longer. */
  | { readonly type: "unsubscribe"; readonly channel: string }
  /**
   * The peer serves at most so many children in each channel from now on. Says nothing for one that takes no part in the
   * mesh.
   */
  | { readonly type: "offer"; readonly childrenMax: number }
  /** The time of `pollTimeout` has come. */
  | { readonly type: "timeout" };

/** Somebody to send to: the server, or a link by its number. */
export type Target = "session" | number;

/** What the peer wants done. */
export type Output =
  /** Call `pollTransmit` whenever `target` is writable, until that gives nothing. Said once; the driver remembers. */
  | { readonly type: "transmit"; readonly target: Target }
  /** Check a signature, and answer with `verified`. */
  | ({ readonly type: "verify"; readonly ticket: number } & Verification)
  /** Close the connection to the server; and reconnect after a while, whatever the code. */
  | { readonly type: "closeSession"; readonly code: Code; readonly reason: string }
  /**
   * Set up a link. `offers`: this end makes the offer, or opens the data channel on the connection that is there. `via`:
   * the link whose connection it shares, if it shares one: it may still be being set up, or be gone already.
   */
  | { readonly type: "openLink"; readonly link: number; readonly offers: boolean; readonly via: number | undefined }
  /** Something for a link's transport from the transport at the other end. */
  | { readonly type: "remoteSignal"; readonly link: number; readonly signal: Signal }
  /** Close a link, sending `bye` first if it is open. The peer has forgotten it already. */
  | { readonly type: "closeLink"; readonly link: number; readonly bye: Uint8Array | undefined }
  /** News for whoever watches. */
  | { readonly type: "status"; readonly status: Status };

/** A signature to check: genuine if one of `keys` made it. */
export interface Verification {
  readonly keys: readonly Uint8Array[];
  readonly signed: SignedMessage;
  /** There if it is that of a frame which the application will soon read: its events may be prepared meanwhile. */
  readonly frame: Frame | undefined;
}

/** News of a peer. */
export type Status =
  /** The server has answered. */
  | {
      readonly kind: "welcome";
      /** What the peer is called in the tree. */
      readonly peer: number;
      /** The server's clock in microseconds since the Unix epoch. */
      readonly serverTimeUs: number;
      /** STUN and TURN servers for links. */
      readonly iceServers: readonly IceServer[];
    }
  /** A subscription has started, or gone on after a reconnect; if not `recovered`, a gap follows. */
  | {
      readonly kind: "subscribed";
      readonly channel: string;
      readonly position: Position;
      readonly recovered: boolean;
    }
  /** The server refused something. If it is about a subscription, that has ended. */
  | {
      readonly kind: "refused";
      readonly channel: string | undefined;
      readonly code: Code;
      readonly reason: string;
      /** If it was not about a subscription: come back, if at all, no earlier than this. */
      readonly retryAfterMs: number | undefined;
    }
  /** The peer has a place in the tree. */
  | { readonly kind: "placed"; readonly channel: string; readonly tier: number }
  /** Somebody else feeds the peer now; no `parent`: the server. */
  | { readonly kind: "parent"; readonly channel: string; readonly parent: number | undefined }
  /** A child has come or gone. */
  | { readonly kind: "children"; readonly channel: string; readonly count: number }
  /** A link was closed. */
  | { readonly kind: "link_lost"; readonly other: number; readonly code: Code };
