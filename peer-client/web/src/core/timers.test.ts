import assert from "node:assert/strict";
import { test } from "node:test";
import { Timers } from "./timers.js";

const setup = (link: number) => ({ kind: "link_setup", link }) as const;

test("deadlines fall due in order and can be moved and cleared", () => {
  const timers = new Timers();
  timers.set(setup(1), 30);
  timers.set(setup(2), 10);
  timers.set(setup(3), 20);
  timers.set(setup(1), 5);
  timers.clear(setup(3));
  assert.deepEqual([timers.due(setup(1)), timers.due(setup(3))], [5, undefined]);
  assert.equal(timers.next(), 5);
  assert.equal(timers.expired(4), undefined);
  assert.deepEqual(timers.expired(50), setup(1));
  assert.deepEqual(timers.expired(50), setup(2));
  assert.equal(timers.expired(50), undefined);
  assert.equal(timers.next(), undefined);
});

test("deadlines that fall due together come in the order of their kinds and numbers", () => {
  const timers = new Timers();
  timers.set({ kind: "link_heartbeat", link: 1 }, 7);
  timers.set(setup(11), 7);
  timers.set(setup(9), 7);
  timers.set({ kind: "session_silent" }, 7);
  const order = Array.from({ length: 4 }, () => timers.expired(7));
  assert.deepEqual(order, [{ kind: "session_silent" }, setup(9), setup(11), { kind: "link_heartbeat", link: 1 }]);
});
