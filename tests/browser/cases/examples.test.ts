/** The programs in `examples/`, as they are, with a server that is killed in between. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Browser } from "../harness/browser.js";
import { BODIES, bodiesIn, publishAroundAKill } from "../harness/interrupted.js";
import { keepingScenario } from "../harness/keeping.js";
import { Program, ROOT, binary } from "../harness/program.js";
import type { Stage } from "../harness/scenario.js";

const FOLDER = join(ROOT, "examples");

const PROGRAMS: readonly (readonly [string, (stage: Stage) => readonly string[]])[] = [
  ["curl.sh", ({ server }) => ["bash", join(FOLDER, "curl.sh"), server.http, server.channel]],
  ["node.mjs", ({ server }) => [process.execPath, join(FOLDER, "node.mjs"), `${server.http}/v1/sse/${server.channel}`]],
  ["plain.rs", ({ server }) => [binary("examples/plain"), server.ws, server.channel]],
  ["python.py", ({ server }) => ["python3", join(FOLDER, "python.py"), `${server.http}/v1/sse/${server.channel}`]],
];

for (const [name, commandOf] of PROGRAMS) {
  keepingScenario(`examples/${name} misses nothing while the server is away`, {}, async (stage) => {
    const [command = "", ...args] = commandOf(stage);
    const program = new Program({ name, command, args });
    stage.atEnd(() => program.kill());
    await publishAroundAKill(stage, () => bodiesIn(program.stdout).length);
    assert.deepEqual(bodiesIn(program.stdout), BODIES, program.tail());
  });
}

keepingScenario("examples/tickets.rs hears of the tickets that it has closed", {}, async (stage) => {
  const { server } = stage;
  const args = [server.http, server.channel, server.key];
  const program = new Program({ name: "tickets", command: binary("examples/tickets"), args });
  stage.atEnd(() => program.kill());
  await program.until("it ends", () => program.end);
  assert.equal(program.end, "code 0", program.tail());
  assert.deepEqual(program.stdout, [1, 2, 3].map((ticket) => `ticket.${ticket}.closed by "me"`));
});

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
