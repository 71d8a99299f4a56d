/** What can be set about a peer. */

/** How much a log keeps. The oldest entries go first. */
export interface LogLimits {
  /** Most bytes of frames. */
  readonly bytes: number;
  /** Most entries. */
  readonly entries: number;
}

/** When a child is told how far the peer is: one that wants no frames, and one that loses some. Times in microseconds. */
export interface HavePace {
  /** No more often than this. */
  readonly leastUs: number;
  /** No later than this after a frame, if nothing was said for as long. */
  readonly mostUs: number;
  /** A child that is not holding us and has lost something lately is told this long after a frame, if nothing follows. */
  readonly tailUs: number;
  /** In between, once so many bytes have come. */
  readonly bytes: number;
}

/** A peer's settings. Times in microseconds. */
export interface PeerConfig {
  /** Program and version, for the server's operator. */
  readonly client: string;
  /** What it does for others; undefined: it takes no part in the mesh, and nobody learns its address. */
  readonly relay: { readonly node: "browser" | "native"; readonly children_max: number } | undefined;
  /** What it keeps for its children and for an application that is slow. */
  readonly log: LogLimits;
  /**
   * How far the server or a parent may run ahead of what the peer has said that it has, in bytes of frames; at most a
   * quarter of the log.
   */
  readonly windowBytes: number;
  /** Bytes of control messages that wait for the server, and again for each link; one that lets them pile up is closed. */
  readonly outboxBytes: number;
  /** A quiet link is pinged this often and closed after three times as long without a word. */
  readonly linkHeartbeatUs: number;
  /** A parent that was asked whether it is there, because its standby was ahead of it, has this long to answer. */
  readonly linkDoubtUs: number;
  /**
   * When the server says that the session of a parent has ended and there is no standby, the parent has this long to
   * answer on its link, or two round trips of the link if that is longer.
   */
  readonly linkAnswerUs: number;
  /** A link that is not up after this long is given up. */
  readonly linkSetupUs: number;
  /** How long a standby may be ahead of the peer before that turns to it: as long as is usual, but no less than this, nor than one
   * and a half round trips of the parent's link. */
  readonly leadMinUs: number;
  /** And no more than this. */
  readonly leadMaxUs: number;
  /**
   * A peer whose parent is silent pulls what a head shows to be missing; with each tier below the second it leaves those
   * above so much longer to do that first, `leadMaxUs` at most.
   */
  readonly leadTierUs: number;
  /**
   * What a frame before its turn may be late before it is asked for again: as long as what was sent at once needs to come
   * together.
   */
  readonly nackWaitUs: number;
  /** It is asked for once more after a round trip and a quarter of the parent's link, but not before this. */
  readonly nackMinUs: number;
  /** What a child may ask for again, in bytes of frames: so much at once, and half as much as the channel carries. */
  readonly againBytes: number;
  /** If a standby that was asked has brought nothing for this long beyond its round trip, the server is asked. */
  readonly hedgeUs: number;
  /** When a child is told how far this peer is. */
  readonly have: HavePace;
  /** A server that does not answer `hello` for this long is given up. */
  readonly welcomeTimeoutUs: number;
}

/** Half of what native peers keep, as a page shares its memory with others; all else as theirs. */
export const DEFAULT_CONFIG: PeerConfig = {
  client: "tiercast-peer",
  relay: undefined,
  log: { bytes: 4 << 20, entries: 16_384 },
  windowBytes: 256 << 10,
  outboxBytes: 256 << 10,
  linkHeartbeatUs: 2_000_000,
  linkDoubtUs: 2_500_000,
  linkAnswerUs: 100_000,
  linkSetupUs: 10_000_000,
  leadMinUs: 60_000,
  leadMaxUs: 600_000,
  leadTierUs: 150_000,
  nackWaitUs: 10_000,
  nackMinUs: 40_000,
  againBytes: 256 << 10,
  hedgeUs: 300_000,
  have: { leastUs: 100_000, mostUs: 1_000_000, tailUs: 150_000, bytes: 2_400 },
  welcomeTimeoutUs: 10_000_000,
};

/**
 * The window that those who feed a peer are given. The log must hold it beside the half of itself that the application
 * may leave unread before anybody is held up, and the last frame, which may go beyond the window.
 */
export function windowOf({ windowBytes, log }: PeerConfig): number {
  return Math.max(1, Math.min(windowBytes, Math.floor(log.bytes / 4), 0xffff_ffff));
}
