/**
 * The one table of close and error codes.
 *
 * 3000-3499: reconnect, no earlier than told. 3500-3999: do not, something must change first.
 */

/** A close or error code. Codes from a newer build are kept as they are. */
export type Code = number;

/** Every code of this build by its name, as in the documentation. */
export const Code = {
  /** The server is shutting down or restarting. */
  shutdown: 3000,
  /** Nothing was heard for too long. */
  silent: 3001,
  /** The session does not read its control messages. */
  slow: 3002,
  /** The server has all that it takes: sessions or, of a broker, dynamic channels and bindings. */
  full: 3003,
  /** The channel's source has not said yet where the channel is. */
  not_ready: 3004,
  /** Departing on purpose. */
  departed: 3100,
  /** The other end of a link is gone. */
  lost: 3101,
  /** A link could not be set up. */
  link_failed: 3102,
  /** The parent no longer has what the child needs next. */
  unavailable: 3103,
  /** The application does not take its events fast enough to go on relaying. */
  lagging: 3104,
  /** The hub changed the tree. */
  replaced: 3105,
  /** An end of a link signaled more than the hub forwards, or the other end does not read its signals. */
  signal_limit: 3106,
  /** The other end is a parent that stays behind the channel. */
  stale: 3107,
  /** A frame, head or message that cannot be decoded. */
  malformed: 3500,
  /** A signature that is not the server's. */
  bad_signature: 3501,
  /** A protocol version that this server does not speak. */
  unsupported_version: 3502,
  /** A message that is not allowed now or not from this side. */
  unexpected: 3503,
  /** A link token that was not expected here. */
  bad_token: 3504,
  /** No such channel. */
  unknown_channel: 3505,
  /** A request with values out of bounds. */
  bad_request: 3506,
  /** A message of an unknown type; it was ignored. */
  unknown_message: 3507,
  /** Not subscribed to this channel. */
  not_subscribed: 3508,
  /** The configuration, or the broker, does not allow it. */
  not_allowed: 3509,
  /** The broker has no such exchange. */
  unknown_exchange: 3510,
} as const;

const names = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

/** The code's name; "unknown" for one of a newer build. */
export function codeName(code: Code): string {
  return names.get(code) ?? "unknown";
}

/** Whether one who was closed with this code should come back by itself. */
export function mayReconnect(code: Code): boolean {
  return code < 3500 || code >= 4000;
}
