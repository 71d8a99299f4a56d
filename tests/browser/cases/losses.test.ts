/**
 * Browsers and native peers whose packets are lost on the way, 2 in 100 in each direction. The native end loses them, those
 * that it sends and those that come; what it sends is also 25 ms late.
 */
import assert from "node:assert/strict";
import { scenario } from "../harness/scenario.js";
import { sorted, spread } from "../harness/spread.js";

const PER_S = 100;
const EVENTS = 10 * PER_S;
const WEATHER = ["--lost-per-million", "20000", "--lost-arriving-per-million", "20000", "--delay-ms", "25"];

scenario("browsers below a parent whose packets are lost miss nothing", { tier1: 1 }, async (stage) => {
  const { stream } = stage;
  const parent = await stage.native({ name: "parent", maxChildren: 4, args: WEATHER });
  const browsers = [];
  for (const engine of ["chromium", "firefox"] as const) {
    const browser = await stage.browser({ engine, name: engine, maxChildren: 0 });
    await browser.fedBy(parent);
    browsers.push(browser);
  }

  await stream.run(EVENTS, PER_S);
  await stream.expectAt(parent, ...browsers);

  for (const browser of browsers) {
    const { parentBytes, serverBytes, nacks, pulls } = await browser.stats();
    const late = sorted(browser.events.map((event) => stream.lateMs(event)));
    console.log(`${browser.name}: latency p50 / p99 / longest ${spread(late)}; asked its parent again ${nacks} times, the server ${pulls} times`);
    assert.ok(nacks > 0, `${browser.name} lost nothing`);
    assert.ok(parentBytes > serverBytes, `${browser.name} was fed by the server`);
    assert.equal(browser.parent, parent.peer);
  }
});

for (const engine of ["chromium", "firefox"] as const) {
  scenario(`a native peer below ${engine} whose packets are lost misses nothing`, { tier1: 1 }, async (stage) => {
    const { stream } = stage;
    const parent = await stage.browser({ engine, name: engine, maxChildren: 4 });
    const child = await stage.native({ name: "child", maxChildren: 0, args: WEATHER });
    await child.fedBy(parent);

    await stream.run(EVENTS, PER_S);
    await stream.expectAt(parent, child);

    const { repeatedFrames, relayedFrames } = await parent.stats();
    const late = sorted(child.events.map((event) => stream.lateMs(event)));
    console.log(`below ${engine}: latency p50 / p99 / longest ${spread(late)}; ${repeatedFrames} of ${relayedFrames} frames sent again`);
    assert.ok(repeatedFrames > 0, "nothing was lost");
    assert.equal(child.parent, parent.peer);
  });
}
