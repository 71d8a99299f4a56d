import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { FakeSurroundings } from "../testing/fake-surroundings.js";
import { Manners, type Resting } from "./manners.js";

const HIDDEN_AFTER_MS = 10_000;

/** What a page has done since the last time that it was asked. */
function polite(surroundings: FakeSurroundings): { manners: Manners; changes: () => (Resting | undefined)[] } {
  const changes: (Resting | undefined)[] = [];
  const manners = new Manners(surroundings, HIDDEN_AFTER_MS, () => changes.push(manners.resting));
  const listener = {
    changed: () => {
      manners.look();
    },
    left: () => undefined,
    returned: () => undefined,
  };
  surroundings.watch(listener, new AbortController().signal);
  return { manners, changes: () => changes.splice(0) };
}

function inFakeTime(name: string, run: () => void): void {
  test(name, () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      run();
    } finally {
      mock.timers.reset();
    }
  });
}

inFakeTime("a page rests when it has been hidden for a while, and no longer once somebody looks at it", () => {
  const surroundings = new FakeSurroundings();
  const { changes } = polite(surroundings);
  surroundings.set({ isHidden: true });
  mock.timers.tick(HIDDEN_AFTER_MS - 1);
  assert.deepEqual(changes(), []);
  mock.timers.tick(1);
  assert.deepEqual(changes(), ["hidden"]);
  surroundings.set({ isHidden: false });
  assert.deepEqual(changes(), [undefined]);
});

inFakeTime("a glance at another page costs nobody anything", () => {
  const surroundings = new FakeSurroundings();
  const { changes } = polite(surroundings);
  for (let glance = 0; glance < 5; glance++) {
    surroundings.set({ isHidden: true });
    mock.timers.tick(HIDDEN_AFTER_MS - 1);
    surroundings.set({ isHidden: false });
  }
  mock.timers.tick(HIDDEN_AFTER_MS);
  assert.deepEqual(changes(), []);
});

inFakeTime("what else happens to a hidden page does not put off its rest", () => {
  const surroundings = new FakeSurroundings();
  const { changes } = polite(surroundings);
  surroundings.set({ isHidden: true });
  mock.timers.tick(HIDDEN_AFTER_MS / 2);
  surroundings.set({});
  mock.timers.tick(HIDDEN_AFTER_MS / 2);
  assert.deepEqual(changes(), ["hidden"]);
});

inFakeTime("a metered line lets a page rest at once, whether somebody looks at it or not", () => {
  const surroundings = new FakeSurroundings();
  const { changes } = polite(surroundings);
  surroundings.set({ isMetered: true });
  assert.deepEqual(changes(), ["metered"]);
  surroundings.set({ isHidden: true });
  surroundings.set({ isMetered: false });
  mock.timers.tick(HIDDEN_AFTER_MS);
  assert.deepEqual(changes(), ["hidden"]);
});

inFakeTime("a page that is opened in the background or on a metered line rests from the beginning", () => {
  for (const [state, resting] of [
    [{ isHidden: true }, "hidden"],
    [{ isMetered: true }, "metered"],
  ] as const) {
    const surroundings = new FakeSurroundings();
    surroundings.set(state);
    assert.equal(polite(surroundings).manners.resting, resting);
  }
});
