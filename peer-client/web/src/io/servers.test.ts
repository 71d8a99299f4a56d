import assert from "node:assert/strict";
import { test } from "node:test";
import { Servers } from "./servers.js";

const SOON_MS = 500;
const URLS = ["ws://a", "ws://b", "ws://c"];

test("an audience spreads", () => {
  const firsts = Array.from({ length: 200 }, () => new Servers(URLS, Math.random).current);
  assert.equal(new Set(firsts).size, 3);
});

test("servers that cannot be reached take turns, and each waits longer each time", () => {
  const servers = new Servers(URLS, Math.random);
  let nowUs = 0;
  let longestMs = 0;
  const tried: (string | undefined)[] = [];
  for (let attempt = 0; attempt < 60; attempt++) {
    tried.push(servers.current);
    servers.failed(nowUs, 0, 0);
    const waitMs = servers.turn(nowUs) ?? NaN;
    assert.ok(waitMs <= (attempt < 2 ? SOON_MS : 20_000), `${waitMs} ms`);
    longestMs = Math.max(longestMs, waitMs);
    nowUs += waitMs * 1000;
  }
  assert.deepEqual(tried.slice(0, 3).sort(), URLS);
  assert.ok(longestMs > SOON_MS);
});

test("what one server asks for says nothing of the others", () => {
  const hourMs = 3_600_000;
  const servers = new Servers(URLS.slice(0, 2), Math.random);
  const first = servers.current;
  servers.failed(0, 60_000, hourMs);
  assert.ok((servers.turn(0) ?? NaN) <= SOON_MS);
  const second = servers.current;
  assert.notEqual(second, first);
  servers.failed(0, 0, 0);
  assert.ok((servers.turn(0) ?? NaN) <= SOON_MS);
  assert.equal(servers.current, second, "the other one has asked for an hour");
  servers.forbidden();
  assert.ok((servers.turn(0) ?? NaN) >= hourMs);
  assert.equal(servers.current, first);
});

test("a server that forbids to come back is left out", () => {
  const servers = new Servers(URLS, Math.random);
  for (const isLeft of [true, true, false]) {
    const forbids = servers.current;
    servers.forbidden();
    assert.equal(servers.turn(0) !== undefined, isLeft);
    assert.notEqual(servers.current, forbids);
  }
  assert.equal(servers.current, undefined);
});
