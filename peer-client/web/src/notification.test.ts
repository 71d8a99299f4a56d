import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyError, EventNotification } from "./notification.js";

function event(body: Uint8Array | string): EventNotification {
  return new EventNotification("builds", { epoch: 7, offset: 42 }, 0, {
    offset: 42,
    routingKey: "build.done",
    exchange: "",
    contentType: undefined,
    messageId: undefined,
    timestamp: undefined,
    headers: {},
    body: typeof body === "string" ? new TextEncoder().encode(body) : body,
  });
}

test("a body is taken as text or as JSON", () => {
  assert.equal(event("läuft").text(), "läuft");
  assert.deepEqual(event('{"ok": [1]}').json(), { ok: [1] });
  assert.equal(event("").text(), "");
});

test("a body that is something else is an error that names the event and says what to do", () => {
  const isClear = (words: RegExp) => (error: unknown) =>
    error instanceof BodyError && /event 7-42 of `builds`, `build.done`/.test(error.message) && words.test(error.message);
  assert.throws(() => event(Uint8Array.of(0xff)).text(), isClear(/not text in UTF-8: take its `body`/));
  assert.throws(() => event(Uint8Array.of(0xff)).json(), isClear(/not text in UTF-8/));
  assert.throws(() => event("{").json(), isClear(/not JSON \(.+\): take its `text\(\)`/));
});
