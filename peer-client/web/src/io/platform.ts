/** What the driver uses of the browser, so that tests can give it something else. */
import { type Verifier, createVerifier } from "./verifier.js";

export interface Platform {
  readonly openSocket: (url: string, protocol: string) => WebSocket;
  /** Undefined where there is no WebRTC: in workers, for instance. */
  readonly openConnection: ((configuration: RTCConfiguration) => RTCPeerConnection) | undefined;
  readonly createVerifier: () => Promise<Verifier>;
  /** Microseconds since the Unix epoch, never going back. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

export function browserPlatform(): Platform {
  return {
    openSocket: (url, protocol) => new WebSocket(url, protocol),
    openConnection:
      typeof RTCPeerConnection === "undefined"
        ? undefined
        : (configuration) => new RTCPeerConnection(configuration),
    createVerifier,
    now: () => Math.round((performance.timeOrigin + performance.now()) * 1000),
    random: () => Math.random(),
  };
}
