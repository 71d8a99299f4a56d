import assert from "node:assert/strict";
import { test } from "node:test";
import type { Position } from "../codec/index.js";
import { Sealer } from "../testing/seal.js";
import { Cursor } from "./cursor.js";
import { FrameLog } from "./log.js";

const sealer = new Sealer("test", 1);
const EPOCH = 7;
const at = (offset: number, epoch = EPOCH): Position => ({ epoch, offset });

function push(log: FrameLog, frames: number): void {
  for (let count = 0; count < frames; count++) {
    const offset = log.head.offset + 1;
    log.push(sealer.seal(log.head, offset, 0, [{ offset }]));
  }
}

/** A log with so many frames, and the size of one. */
function logOf(frames: number): [FrameLog, number] {
  const log = new FrameLog({ bytes: 1 << 20, entries: 1_000 }, at(-1));
  push(log, frames);
  return [log, log.bytes / frames];
}

/** Sends what may be sent. How many frames that were. */
function send(cursor: Cursor, log: FrameLog): number {
  let sent = 0;
  for (let read = cursor.read(log); read.kind === "frame"; read = cursor.read(log)) {
    cursor.sent(read.frame);
    sent++;
  }
  return sent;
}

test("a frame is begun as long as less than a window is under way", () => {
  const [log, bytes] = logOf(40);
  const cursor = new Cursor(at(-1), 10 * bytes + 1);
  assert.equal(send(cursor, log), 11);
  cursor.acknowledge(log, at(4));
  assert.equal(send(cursor, log), 5);
  cursor.acknowledge(log, at(4));
  assert.equal(send(cursor, log), 0, "that is not news");
});

test("one frame is always under way, however small the window is", () => {
  const [log] = logOf(3);
  const cursor = new Cursor(at(-1), 1);
  for (let offset = 0; offset < 3; offset++) {
    assert.equal(send(cursor, log), 1);
    cursor.acknowledge(log, at(offset));
  }
});

test("whoever acknowledges in quarters is never left waiting", () => {
  const [log, bytes] = logOf(300);
  const cursor = new Cursor(at(-1), 40 * bytes);
  assert.equal(send(cursor, log), 40);
  for (let received = 10; received < 250; received += 10) {
    cursor.acknowledge(log, at(received - 1));
    send(cursor, log);
    const ahead = cursor.position.offset + 1 - received;
    assert.ok(ahead >= 30 && ahead <= 40, `${ahead} frames ahead`);
  }
});

test("regression: what the receiver has from elsewhere is not sent", () => {
  const [log, bytes] = logOf(40);
  const cursor = new Cursor(at(-1), 10 * bytes);
  send(cursor, log);
  cursor.acknowledge(log, at(34));
  assert.equal(send(cursor, log), 5);
  cursor.acknowledge(log, at(40));
  push(log, 3);
  assert.equal(send(cursor, log), 2, "one who is ahead of the log is waited for");
});

test("one who has a newer numbering than the log stays where it is", () => {
  const [log, bytes] = logOf(20);
  const cursor = new Cursor(at(-1), 10 * bytes);
  send(cursor, log);
  cursor.acknowledge(log, at(4, EPOCH + 1));
  assert.deepEqual(cursor.position, at(9));
  assert.equal(send(cursor, log), 10, "nothing of that is under way any more");
});

test("a numbering that sorts before the old one begins with nothing under way", () => {
  const [log, bytes] = logOf(20);
  const cursor = new Cursor(at(-1), 4 * bytes);
  send(cursor, log);
  log.jump(at(-1, EPOCH - 1), "epoch");
  push(log, 20);
  cursor.acknowledge(log, at(0));
  const read = cursor.read(log);
  assert.ok(read.kind === "gap");
  cursor.skip(read.to);
  assert.equal(send(cursor, log), 4);
  cursor.acknowledge(log, at(3, EPOCH - 1));
  assert.equal(send(cursor, log), 4);
});

test("a head is sent once, and after all that it speaks of", () => {
  const [log, bytes] = logOf(2);
  const head = sealer.head(log.head, 5);
  const cursor = new Cursor(at(-1), bytes);
  send(cursor, log);
  assert.equal(cursor.nextHead(head), undefined);
  cursor.acknowledge(log, at(0));
  send(cursor, log);
  assert.equal(cursor.nextHead(head), head);
  assert.equal(cursor.nextHead(head), undefined);
});
