/** A browser's own `EventSource`, without any script of ours: what it missed while the server was away comes, and nothing twice. */
import assert from "node:assert/strict";
import { Browser, type Engine } from "../harness/browser.js";
import { ask } from "../harness/changing.js";
import { keepingScenario } from "../harness/keeping.js";
import type { Stage } from "../harness/scenario.js";

const EVENTS = 300;
const ENGINES: readonly Engine[] = ["chromium", "firefox"];

interface Got {
  readonly bodies: string[];
  readonly others: string[];
}

/** What the page has in its global `got`. */
declare global {
  var got: Got;
}

async function publish(stage: Stage, first: number, end: number): Promise<void> {
  for (let number = first; number < end; number++) {
    await stage.server.publish({ body: Buffer.from(String(number)) });
  }
}

for (const engine of ENGINES) {
  const name = `an EventSource in ${engine} gets exactly what it missed while the server was away`;
  keepingScenario(name, { "limits.reader_retry_ms": 200 }, async (stage) => {
    const browser = await Browser.start(engine, engine);
    stage.atEnd(() => browser.stop());
    const page = await browser.newPage();
    await page.goto(stage.pageUrl);
    await page.evaluate((url) => {
      const source = new EventSource(url);
      globalThis.got = { bodies: [], others: [] };
      source.onmessage = ({ data }) => {
        globalThis.got.bodies.push((JSON.parse(String(data)) as { body: string }).body);
      };
      for (const name of ["gap", "ready"]) source.addEventListener(name, () => globalThis.got.others.push(name));
    }, `${stage.server.http}/v1/sse/${stage.server.channel}?since=earliest`);
    const until = (count: number): Promise<Got> =>
      ask(`the page has ${count} events`, async () => {
        const got = await page.evaluate(() => globalThis.got);
        return got.bodies.length >= count && got;
      });
    await publish(stage, 0, EVENTS / 3);
    await until(EVENTS / 3);
    await stage.server.stop("SIGKILL");
    await stage.server.startAgain();
    await publish(stage, EVENTS / 3, EVENTS);
    const { bodies, others } = await until(EVENTS);
    assert.deepEqual(bodies, Array.from({ length: EVENTS }, (_, number) => String(number)));
    assert.deepEqual(others, ["ready", "ready"], "it connected twice, and there was no gap");
  });
}
