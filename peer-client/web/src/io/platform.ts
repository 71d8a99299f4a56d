/** What the driver uses of the browser, so that tests can give it something else. */
import { ConnectError } from "../connect-error.js";
import type { Stores } from "../memory.js";
import { type Surroundings, pageSurroundings } from "./surroundings.js";
import { type Verifier, createVerifier } from "./verifier.js";

export interface Platform {
  readonly openSocket: (url: string, protocol: string) => WebSocket;
  /** Undefined where there is no WebRTC: in workers, for instance. */
  readonly openConnection: ((configuration: RTCConfiguration) => RTCPeerConnection) | undefined;
  /** Undefined where there is no page: in workers, for instance. */
  readonly surroundings: Surroundings | undefined;
  /** Undefined, or gives nothing, where nothing outlives a page: in workers, for instance, or if the user forbids it. */
  readonly openStores?: () => Stores | undefined;
  /** Of the script that decodes, or of another. Undefined where there are no Web Workers. */
  readonly openWorker?: (url: string | URL | undefined) => Worker;
  readonly createVerifier: () => Promise<Verifier>;
  /** Microseconds since the Unix epoch, never going back. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Throws {@link ConnectError} where there is no WebSocket. */
export function browserPlatform(): Platform {
  if (typeof WebSocket === "undefined") {
    throw new ConnectError("no_websocket", "there is no WebSocket here: use a browser, or Node 22 or later");
  }
  return {
    openSocket: (url, protocol) => new WebSocket(url, protocol),
    openConnection:
      typeof RTCPeerConnection === "undefined"
        ? undefined
        : (configuration) => new RTCPeerConnection(configuration),
    surroundings: pageSurroundings(),
    openStores: pageStores,
    ...(typeof Worker === "undefined" ? {} : { openWorker }),
    createVerifier,
    now: () => Math.round((performance.timeOrigin + performance.now()) * 1000),
    random: () => Math.random(),
  };
}

/** Bundlers know the URL as it is written here, and bring the file along. */
function openWorker(url: string | URL | undefined): Worker {
  return url === undefined ? new Worker(new URL("./tiercast-worker.js", import.meta.url)) : new Worker(url);
}

function pageStores(): Stores | undefined {
  if (typeof document === "undefined") return undefined;
  try {
    return { tab: sessionStorage, browser: localStorage };
  } catch {
    // The user forbids it.
    return undefined;
  }
}
