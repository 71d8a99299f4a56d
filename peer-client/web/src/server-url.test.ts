import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "./index.js";
import { ConnectError } from "./connect-error.js";
import { type Page, sessionUrl } from "./server-url.js";

const PLAIN: Page = { href: "http://page.example:1/a/b.html", protocol: "http:" };
const SECURE: Page = { href: "https://page.example/a/b.html", protocol: "https:" };

function reason(url: string, page: Page): string {
  try {
    return sessionUrl(url, page).href;
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    assert.ok(!error.message.includes("hunter2"), error.message);
    return error.reason;
  }
}

test("what people leave out is added", () => {
  for (const [url, page, expected] of [
    ["ws://h:1/v1/ws", undefined, "ws://h:1/v1/ws"],
    ["http://h:1", undefined, "ws://h:1/v1/ws"],
    ["https://h/#x", undefined, "wss://h/v1/ws"],
    ["wss://h/other?x=1", undefined, "wss://h/other?x=1"],
    ["/", PLAIN, "ws://page.example:1/v1/ws"],
    ["/other", SECURE, "wss://page.example/other"],
    ["./ws", PLAIN, "ws://page.example:1/a/ws"],
    ["//h:2", SECURE, "wss://h:2/v1/ws"],
    ["ws://127.0.0.1:8780", SECURE, "ws://127.0.0.1:8780/v1/ws"],
    ["ws://localhost:8780", SECURE, "ws://localhost:8780/v1/ws"],
  ] as const) {
    assert.equal(reason(url, page), expected, url);
  }
});

test("regression: what cannot be a server's address is refused at once", () => {
  const pages: readonly Page[] = [undefined, PLAIN, SECURE];
  for (const url of ["nonsense", "::::", "", "localhost:8780", "ftp://h/x", "ws://", "ws://h:99999", "h/v1/ws"]) {
    for (const page of pages) assert.equal(reason(url, page), "bad_url", url);
  }
  assert.equal(reason("ws://me:hunter2@h", undefined), "bad_url");
  assert.equal(reason("ws://me:hunter2@h:99999", undefined), "bad_url");
  assert.equal(reason("/v1/ws", undefined), "bad_url", "nothing that it is relative to");
  assert.equal(reason("/v1/ws", { href: "file:///home/me/page.html", protocol: "file:" }), "bad_url");
  assert.equal(reason("ws://h/v1/ws", SECURE), "insecure");
});

test("regression: connect throws at once, and where there is no WebSocket says so", () => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  try {
    Object.defineProperty(globalThis, "WebSocket", { value: Object, configurable: true });
    assert.throws(() => connect("nonsense"), { name: "ConnectError", reason: "bad_url" });
    // As in Node before 22.
    Reflect.deleteProperty(globalThis, "WebSocket");
    assert.throws(() => connect("ws://127.0.0.1:1"), { name: "ConnectError", reason: "no_websocket", message: /Node/ });
  } finally {
    if (before !== undefined) Object.defineProperty(globalThis, "WebSocket", before);
  }
});
