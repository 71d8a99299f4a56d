/** The programs in `examples/`, as they are, with a server that is killed in between. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Browser } from "../harness/browser.js";
import { ask } from "../harness/changing.js";
import { keepingScenario } from "../harness/keeping.js";
import { Program, ROOT, binary } from "../harness/program.js";
import type { Stage } from "../harness/scenario.js";

const EVENTS = 90;
const FOLDER = join(ROOT, "examples");

/** Publishes, with a server that is killed when a third has come; `count` says how many have. */
async function run(stage: Stage, count: () => Promise<number>): Promise<void> {
  const publish = async (first: number, end: number): Promise<void> => {
    for (let number = first; number < end; number++) {
      await stage.server.publish({ body: Buffer.from(`body ${number}`) });
    }
  };
  const until = (least: number): Promise<true> => ask(`${least} events`, async () => (await count()) >= least);
  await publish(0, EVENTS / 3);
  await until(EVENTS / 3);
  await stage.server.stop("SIGKILL");
  await stage.server.startAgain();
  await publish(EVENTS / 3, EVENTS);
  await until(EVENTS);
}

/** The bodies that a program has written. */
const bodies = (text: string): string[] => [...text.matchAll(/"body":"(body \d+)"/g)].map(([, body]) => body ?? "");

const EXPECTED = Array.from({ length: EVENTS }, (_, number) => `body ${number}`);

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
    await run(stage, () => Promise.resolve(bodies(program.stdout.join("\n")).length));
    assert.deepEqual(bodies(program.stdout.join("\n")), EXPECTED, program.tail());
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
  await run(stage, async () => (await shown()).length);
  assert.deepEqual(await shown(), EXPECTED);
});
