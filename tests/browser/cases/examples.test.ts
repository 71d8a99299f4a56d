/** The programs in `examples/`, as they are, with a server that is killed in between. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Browser } from "../harness/browser.js";
import { BODIES, bodiesIn, publishAroundAKill } from "../harness/interrupted.js";
import { keepingScenario } from "../harness/keeping.js";
import { Program, ROOT } from "../harness/program.js";
import type { Stage } from "../harness/scenario.js";

const FOLDER = join(ROOT, "examples");

const PROGRAMS: readonly (readonly [string, (stage: Stage) => readonly string[]])[] = [
  ["curl.sh", ({ server }) => ["bash", "curl.sh", server.http, server.channel]],
  ["node.mjs", ({ server }) => [process.execPath, "node.mjs", `${server.http}/v1/sse/${server.channel}`]],
  ["python.py", ({ server }) => ["python3", "python.py", `${server.http}/v1/sse/${server.channel}`]],
];

for (const [name, commandOf] of PROGRAMS) {
  keepingScenario(`examples/${name} misses nothing while the server is away`, {}, async (stage) => {
    const [command = "", file = "", ...args] = commandOf(stage);
    const program = new Program({ name, command, args: [join(FOLDER, file), ...args] });
    stage.atEnd(() => program.kill());
    await publishAroundAKill(stage, () => bodiesIn(program.stdout).length);
    assert.deepEqual(bodiesIn(program.stdout), BODIES, program.tail());
  });
}

keepingScenario("examples/event-source.html misses nothing while the server is away", {}, async (stage) => {
  const html = await readFile(join(FOLDER, "event-source.html"));
  const site = createServer((_, response) => response.setHeader("content-type", "text/html").end(html));
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  const browser = await Browser.start("chromium", "chromium");
  stage.atEnd(async () => {
    await browser.stop();
    site.closeAllConnections();
    site.close();
  });
  const page = await browser.newPage();
  const url = `${stage.server.http}/v1/sse/${stage.server.channel}`;
  await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/?${encodeURIComponent(url)}`);
  const shown = (): Promise<string[]> =>
    page.$$eval("li", (items) => items.map(({ textContent }) => textContent));
  await publishAroundAKill(stage, async () => (await shown()).length);
  assert.deepEqual(await shown(), BODIES);
});
