import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../codec/index.js";
import { Sealer } from "../testing/seal.js";
import { FrameLog } from "./log.js";

const sealer = new Sealer("test", 1);
const at = (epoch: number, offset: number): Position => ({ epoch, offset });

function logOf(...frames: [number, number, number][]): FrameLog {
  const [[epoch, after] = [1, -1]] = frames;
  const log = new FrameLog({ bytes: 1 << 20, entries: 4 }, at(epoch, after));
  for (const [epoch, after, last] of frames) log.push(sealer.seal(at(epoch, after), last, 0, [{ offset: last }]));
  return log;
}

function read(log: FrameLog, cursor: Position): unknown {
  const result = log.read(cursor);
  return result.kind === "frame" ? result.frame.position : result;
}

const upToDate = { kind: "up_to_date" };

test("a reader inside a frame gets that frame", () => {
  const log = logOf([1, -1, 3], [1, 3, 9]);
  assert.deepEqual(read(log, at(1, -1)), at(1, 3));
  assert.deepEqual(read(log, at(1, 2)), at(1, 3));
  assert.deepEqual(read(log, at(1, 3)), at(1, 9));
  assert.deepEqual(read(log, at(1, 9)), upToDate);
});

test("a reader beyond the head is ahead of the log or has seen another numbering", () => {
  const log = logOf([1, -1, 3], [1, 3, 9]);
  assert.deepEqual([at(1, 9), at(1, 12), at(2, 12)].map((cursor) => log.isBehind(cursor)), [false, true, false]);
  for (const cursor of [at(1, 12), at(2, 0)]) {
    assert.deepEqual(read(log, cursor), { kind: "gap", to: at(1, -1), reason: "epoch", recorded: false });
  }
});

test("a reader that falls off the tail is told so", () => {
  const log = logOf([1, -1, 0], [1, 0, 1], [1, 1, 2], [1, 2, 3], [1, 3, 4]);
  assert.deepEqual(log.base, at(1, 0), "four entries are kept");
  assert.deepEqual(read(log, at(1, -1)), { kind: "gap", to: at(1, 0), reason: "retention", recorded: false });
  assert.deepEqual(read(log, at(1, 0)), at(1, 1));
});

test("a new numbering is a gap exactly where the old one ended", () => {
  const log = logOf([1, -1, 5]);
  log.jump(at(2, -1), "epoch");
  log.push(sealer.seal(at(2, -1), 0, 0, [{ offset: 0 }]));
  const gap = (recorded: boolean): unknown => ({ kind: "gap", to: at(2, -1), reason: "epoch", recorded });
  assert.deepEqual(read(log, at(1, 4)), at(1, 5));
  assert.deepEqual(read(log, at(1, 5)), gap(true));
  assert.deepEqual(read(log, at(1, 7)), gap(false), "somebody who saw more of the old numbering than we did");
  assert.deepEqual(read(log, at(2, -1)), at(2, 0));
});

test("a numbering that sorts before the old one empties the log", () => {
  const log = logOf([7, -1, 5]);
  log.jump(at(3, -1), "epoch");
  log.push(sealer.seal(at(3, -1), 0, 0, [{ offset: 0 }]));
  assert.deepEqual(read(log, at(7, 5)), { kind: "gap", to: at(3, -1), reason: "epoch", recorded: false });
  assert.deepEqual(read(log, at(3, -1)), at(3, 0));
});

test("memory is bounded by bytes, however long it runs", () => {
  const frame = sealer.seal(at(1, -1), 0, 0, [{ offset: 0 }]);
  const log = new FrameLog({ bytes: 10 * frame.bytes.length, entries: 1_000 }, at(1, -1));
  for (let offset = 0; offset < 500; offset++) log.push(sealer.seal(at(1, offset - 1), offset, 0, [{ offset }]));
  assert.equal(log.bytes, 10 * frame.bytes.length);
  assert.deepEqual(log.base, at(1, 489));
  assert.equal(log.bytesAfter(at(1, 497)), 2 * frame.bytes.length);
});

test("there is room as long as nothing unread has to go", () => {
  const log = logOf([1, -1, 0], [1, 0, 1], [1, 1, 2], [1, 2, 3]);
  assert.ok(!log.hasRoom(at(1, -1), 1, 10), "four entries are all it keeps");
  assert.ok(log.hasRoom(at(1, 0), 1, 10));
  assert.ok(!log.hasRoom(at(1, 0), 2, 10), "a gap and a frame are two");
  assert.ok(!log.hasRoom(at(1, 0), 1, 2 << 20), "too large beside what is unread");
  assert.ok(log.hasRoom(at(1, 3), 1, 2 << 20), "nothing is unread");
});

test("what is unread fills a part of the log by entries and by bytes", () => {
  const frames = [0, 1, 2, 3].map((offset) => sealer.seal(at(1, offset - 1), offset, 0, [{ offset }]));
  const size = frames[0]?.bytes.length ?? 0;
  const logOfBytes = (bytes: number): FrameLog => {
    const log = new FrameLog({ bytes, entries: 4 }, at(1, -1));
    for (const frame of frames) log.push(frame);
    return log;
  };
  assert.ok(!logOfBytes(4 * size).fillsAtMost(at(1, 0), 2));
  assert.ok(logOfBytes(4 * size).fillsAtMost(at(1, 1), 2));
  assert.ok(!logOfBytes(4 * size).fillsAtMost(at(1, 1), 4));
  assert.ok(logOfBytes(4 * size).fillsAtMost(at(1, 2), 4));
  assert.ok(!logOfBytes(3 * size).fillsAtMost(at(1, 1), 2), "more than half of the bytes");
});
