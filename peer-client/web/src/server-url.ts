/** The server's address: what people leave out is added, and what cannot be one is refused at once. */
import { ConnectError } from "./connect-error.js";

/** What the page's own address says; undefined outside of pages. */
export type Page = Pick<Location, "href" | "protocol"> | undefined;

const EXAMPLE = "write an address such as wss://example.org/v1/ws or, in a page, a path such as /v1/ws";

/** A scheme with `//`: `localhost:8780` has none, although it parses. */
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\//i;
/** Only what looks like one: a word would be relative as well, and never is meant so. */
const PATH = /^\.{0,2}\//;
/** Browsers let a page of `https` connect to these without TLS. */
const LOOPBACK = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;

/** The WebSocket's address: `/v1/ws` unless another path is given, `ws` for `http`, relative to the page. */
export function sessionUrl(url: string | URL, page: Page): URL {
  const address = parsed(String(url), page);
  if (address.protocol === "http:") address.protocol = "ws:";
  if (address.protocol === "https:") address.protocol = "wss:";
  if (address.protocol !== "ws:" && address.protocol !== "wss:") {
    throw new ConnectError("bad_url", `nobody is reached by \`${address.protocol}\`: ${EXAMPLE}`);
  }
  if (address.username !== "" || address.password !== "") {
    throw new ConnectError("bad_url", "the server asks for no user or password: leave out all up to `@`");
  }
  if (page?.protocol === "https:" && address.protocol === "ws:" && !LOOPBACK.test(address.hostname)) {
    throw new ConnectError("insecure", `a page of https may not connect to ${address.origin}: use wss://`);
  }
  if (address.pathname === "/") address.pathname = "/v1/ws";
  address.hash = "";
  return address;
}

function parsed(text: string, page: Page): URL {
  if (ABSOLUTE.test(text) || (page !== undefined && PATH.test(text))) {
    try {
      return new URL(text, page?.href);
    } catch {
      // Said below. What was written may hold a password.
    }
  }
  throw new ConnectError("bad_url", `this is no address of a server: ${EXAMPLE}`);
}
