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
  for (const offset of offsets) ahead.put(frame(offset), at(offset - 1), Infinity);
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
  const kept = [3, 3, 4, 5].map((offset) => waiting.put(frame(offset), at(offset - 1), length + 1));
  assert.deepEqual(kept, [true, true, true, false]);
  assert.deepEqual([3, 4, 5].map((offset) => waiting.holds(frame(offset), at(offset - 1))), [true, true, false]);
  assert.equal(waiting.bytes, 2 * length);
});

test("regression: a new numbering waits for the old one, whoever feeds us by then", () => {
  const waiting = new Ahead();
  waiting.endsAt(at(3), at(1));
  waiting.put(frame(0, 8), at(3), Infinity);
  waiting.forgetEnd();
  assert.deepEqual(waiting.ask(0, at(1), PAUSE_US), [[hole(1, 3), 0]]);
  waiting.put(frame(4), at(3), Infinity);
  assert.equal(waiting.next(at(2)), undefined);
  assert.deepEqual(waiting.next(at(3)), frame(4), "another had more of it");
  assert.deepEqual(waiting.next(at(4)), frame(0, 8));
});

test("regression: how far the next numbering is does not hide what is missing of ours", () => {
  const waiting = new Ahead();
  waiting.endsAt(at(7), at(5));
  waiting.endsAt({ epoch: 8, offset: 3 }, at(5));
  assert.deepEqual(waiting.lacks(at(5)), at(7));
  waiting.endsAt(at(6), at(5));
  assert.deepEqual([waiting.lacks(at(6)), waiting.lacks(at(7))], [at(7), undefined], "what was said first came later");
  const [next, ours] = [at(3, 8), at(2, 8)];
  waiting.endsAt(next, at(7));
  assert.deepEqual(waiting.lacks(ours), next);
  waiting.forgetEnd();
  assert.equal(waiting.lacks(ours), undefined);
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
