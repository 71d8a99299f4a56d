import assert from "node:assert/strict";
import { test } from "node:test";
import { Socket } from "./socket.js";

/** A WebSocket that does what the test says. */
class PlayedSocket {
  readonly protocol = "tiercast.v1";
  readyState = 0;
  closes = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  close(): void {
    this.closes++;
  }
}

/** What a socket tells while `play` is played to it. */
function toldWhile(play: (played: PlayedSocket) => void): unknown[] {
  const told: unknown[] = [];
  const played = new PlayedSocket();
  const socket = new Socket(() => played as unknown as WebSocket, "ws://h/v1/ws", {
    opened: () => told.push("opened"),
    data: () => told.push("data"),
    writable: () => told.push("writable"),
    closed: (code, reason) => told.push([code, reason]),
  });
  play(played);
  const before = [...told];
  // Ends its timeout.
  socket.close(1000, "");
  return before;
}

const NOT_OPENED = "the connection could not be opened: does a signaling server run there, and does the network let it through?";
const REFUSED = [1006, NOT_OPENED];

test("regression: a connection that is refused has ended at once where only `error` says so", () => {
  assert.deepEqual(toldWhile((played) => played.onerror?.()), [REFUSED]);
});

test("a connection that is refused ends once where `error` and `close` say so", () => {
  const told = toldWhile((played) => {
    played.onerror?.();
    played.onclose?.({ code: 1006, reason: "" });
  });
  assert.deepEqual(told, [REFUSED]);
});

test("an error of an open connection ends it with the code of its `close`", () => {
  const told = toldWhile((played) => {
    played.readyState = 1;
    played.onopen?.();
    played.onerror?.();
    played.onclose?.({ code: 1009, reason: "too large" });
  });
  assert.deepEqual(told, ["opened", [1009, "too large"]]);
});
