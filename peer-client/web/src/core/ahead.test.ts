import assert from "node:assert/strict";
import { test } from "node:test";
import type { Frame, Nack, Position } from "../codec/index.js";
import { Sealer } from "../testing/seal.js";
import { Ahead } from "./ahead.js";

const PAUSE_US = 100_000;

const sealer = new Sealer("test", 1);
const at = (offset: number, epoch = 7): Position => ({ epoch, offset });
const hole = (after: number, to: number): Nack => ({ after: at(after), to: at(to) });

/** A frame with the event of this offset. */
function frame(offset: number, epoch = 7): Frame {
  return sealer.seal(at(offset - 1, epoch), offset, 0, [{ offset }]);
}

function ahead(...offsets: number[]): Ahead {
  const ahead = new Ahead();
  for (const offset of offsets) ahead.put(frame(offset), Infinity);
  return ahead;
}

test("frames wait for their turn and no longer", () => {
  const waiting = ahead(9, 3, 5, 4);
  assert.equal(waiting.next(at(1)), undefined);
  for (const offset of [3, 4, 5]) assert.deepEqual(waiting.next(at(offset - 1)), frame(offset));
  assert.equal(waiting.next(at(9)), undefined, "it came meanwhile");
  assert.equal(waiting.bytes, 0);
});

test("there is room for a window and a frame, and a frame waits once", () => {
  const waiting = new Ahead();
  const { length } = frame(3).bytes;
  const kept = [3, 3, 4, 5].map((offset) => waiting.put(frame(offset), length + 1));
  assert.deepEqual(kept, [true, true, true, false]);
  assert.deepEqual([3, 4, 5].map((offset) => waiting.holds(frame(offset))), [true, true, false]);
  assert.equal(waiting.bytes, 2 * length);
});

test("a new numbering begins when nothing of the old one is missing", () => {
  const waiting = new Ahead();
  waiting.put(frame(0, 8), Infinity);
  waiting.endsAt(at(3), at(2));
  waiting.endsAt(at(2), at(2));
  assert.deepEqual([waiting.lacks(at(2)), waiting.next(at(2))], [true, undefined]);
  assert.deepEqual([waiting.lacks(at(3)), waiting.next(at(3))], [false, frame(0, 8)]);
});

test("regression: how far the next numbering is does not hide what is missing of ours", () => {
  const waiting = new Ahead();
  waiting.endsAt(at(7), at(5));
  waiting.endsAt({ epoch: 8, offset: 3 }, at(5));
  assert.ok(waiting.lacks(at(5)));
  waiting.endsAt(at(6), at(5));
  assert.deepEqual([waiting.lacks(at(6)), waiting.lacks(at(7))], [true, false], "what was said first came later");
  waiting.endsAt({ epoch: 8, offset: 3 }, at(7));
  assert.ok(waiting.lacks({ epoch: 8, offset: 2 }));
  waiting.forgetEnd();
  assert.equal(waiting.lacks({ epoch: 8, offset: 2 }), false);
});

test("holes are asked for at once and again after a while, but not for ever", () => {
  const waiting = ahead(3, 7);
  waiting.endsAt(at(9), at(1));
  const all = [hole(1, 2), hole(3, 6), hole(7, 9)];
  assert.deepEqual(waiting.ask(0, at(1), PAUSE_US), all.map((hole) => [hole, 0]));
  assert.deepEqual(waiting.ask(99_999, at(1), PAUSE_US), []);
  assert.equal(waiting.askAt(PAUSE_US), 100_000);
  assert.deepEqual(waiting.next(at(2)), frame(3));
  assert.deepEqual(waiting.ask(100_000, at(3), PAUSE_US), all.slice(1).map((hole) => [hole, 1]));
  for (let time = 2; time < 10; time++) waiting.ask(time * 100_000, at(3), PAUSE_US);
  assert.deepEqual([waiting.ask(9_000_000, at(3), PAUSE_US), waiting.askAt(PAUSE_US)], [[], undefined]);
});
