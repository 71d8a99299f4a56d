/** What a peer can tell about itself. */

/** A neighbour that a channel is relayed to. */
export interface Child {
  /** What it is called in the tree. */
  readonly peer: number;
  /** Bytes of frames handed to it. */
  readonly bytes: number;
}

/** What a peer counts since it was made. */
export interface PeerStats {
  /** Frames taken: verified and kept. */
  frames: number;
  /** Bytes of the frames taken that the server sent. */
  serverBytes: number;
  /** Bytes of the frames taken that a parent sent. */
  parentBytes: number;
  /** Frames that were there already. */
  duplicates: number;
  /** Frames not taken because something before them was missing, or there was no room. */
  notTaken: number;
  /** Events given to the application, wanted or not. */
  delivered: number;
  /** Gaps that the application was told of. */
  gaps: number;
  /** Bytes of frames handed to children. */
  relayedBytes: number;
  /** Frames handed to children. */
  relayedFrames: number;
  /** Frames and heads whose signature was not the server's. */
  badSignatures: number;
  /** Messages that could not be decoded. */
  malformed: number;
  /** Times that the server was asked to feed again. */
  feeds: number;
  /** Times that the server was asked for what neither parent nor standby had brought. */
  pulls: number;
  /** Times that a parent or standby was asked again for what had not come. */
  nacks: number;
  /** Frames that children asked for again. */
  repeatedFrames: number;
  /** Times that a child asked for something again and was given nothing, as it had asked for too much. */
  nacksRefused: number;
  /** Times that the standby took the parent's place because it is the faster one. */
  exchanges: number;
  /** Times that the standby took the parent's place because it was ahead. */
  swaps: number;
  /** Times that the application was so slow that the peer held up those who feed it. */
  stalls: number;
}

export function noStats(): PeerStats {
  return {
    frames: 0,
    serverBytes: 0,
    parentBytes: 0,
    duplicates: 0,
    notTaken: 0,
    delivered: 0,
    gaps: 0,
    relayedBytes: 0,
    relayedFrames: 0,
    badSignatures: 0,
    malformed: 0,
    feeds: 0,
    pulls: 0,
    nacks: 0,
    repeatedFrames: 0,
    nacksRefused: 0,
    exchanges: 0,
    swaps: 0,
    stalls: 0,
  };
}
