import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter, type NewEvent } from "./emit/index.js";
import { TestServer } from "./embedded/index.js";
import { checkName } from "./names.js";
import { CHANNEL, Page } from "./testing/page.js";

/** As a program without types gives it. */
const untyped = (value: unknown): never => value as never;

test("regression: an option that there is none of is refused, with the one that was meant", async () => {
  const page = new Page();
  for (const [wrong, words] of [
    ["maxChilden", "`connect` has no option `maxChilden`: did you mean `maxChildren`?"],
    ["RELAY", "`connect` has no option `RELAY`: did you mean `relay`?"],
    ["sinal", "`connect` has no option `sinal`: did you mean `signal`?"],
  ] as const) {
    assert.throws(() => new Page(untyped({ [wrong]: undefined })), { name: "TypeError", message: words });
  }
  const message = "`subscribe` has no option `sinse`: did you mean `since`?";
  assert.throws(() => page.client.subscribe(CHANNEL, untyped({ sinse: "earliest" })), { name: "TypeError", message });
  assert.throws(() => new Emitter("http://h", "tickets", "key", untyped({ giveupMS: 1 })), /`Emitter` has no option `giveupMS`: .*`giveUpMs`/);
  await assert.rejects(TestServer.start(untyped({ chanels: ["a"] })), /`TestServer.start` has no option `chanels`: .*`channels`/);
  page.client.close();
});

test("regression: what is no object with options is refused", () => {
  const page = new Page();
  assert.throws(() => page.client.subscribe(CHANNEL, untyped("earliest")), /`subscribe` has no option that is a string: pass an object/);
  assert.throws(() => new Page(untyped(7)), /`connect` has no option that is a number/);
  page.client.close();
});

test("regression: an event's field that there is none of is refused before anything is sent", async () => {
  const emitter = new Emitter("http://127.0.0.1:1", "tickets", "key");
  const event: NewEvent = untyped({ routing_key: "ticket.1.updated" });
  const message = "an event has no field `routing_key`: did you mean `routingKey`?";
  await assert.rejects(emitter.publish(event), { name: "EmitError", reason: "bad_data", message });
});

test("regression: a listener that nothing will ever be told is refused", () => {
  const page = new Page();
  assert.throws(() => page.client.on(untyped("staus"), () => undefined), /tells nothing of the type `staus`: did you mean `status`/);
  const subscription = page.client.subscribe(CHANNEL);
  assert.throws(() => subscription.on(untyped("message"), () => undefined), /`message`: expected event, gap, status/);
  page.client.close();
});

test("only what is much alike may have been meant", () => {
  const known = { since: true, match: true };
  const problem = (name: string): string => {
    try {
      checkName(name, known, "no");
      return "";
    } catch (error) {
      return String(error);
    }
  };
  for (const name of ["sinc", "sicne", "Since", "sines"]) assert.match(problem(name), /did you mean `since`/, name);
  assert.match(problem("metch"), /did you mean `match`/);
  for (const name of ["", "x", "pattern", "constructor", "__proto__"]) assert.match(problem(name), /expected since, match/, name);
  assert.equal(problem("since"), "");
});
