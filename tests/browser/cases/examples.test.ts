/** The programs in `examples/`, as they are, with a server that is killed in between. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Browser } from "../harness/browser.js";
import { ask } from "../harness/changing.js";
import { BODIES, bodiesIn, publishAroundAKill } from "../harness/interrupted.js";
import { keepingScenario } from "../harness/keeping.js";
import { Program, ROOT, binary } from "../harness/program.js";
import { type Stage, scenario } from "../harness/scenario.js";

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

for (const name of ["node.mjs", "python.py"]) {
  scenario(`regression: examples/${name} takes an address that has a query`, {}, async (stage) => {
    await publishForAQuery(stage);
    const program = streaming(stage, name, addressWithAQuery(stage));
    await program.until("two events", () => program.stdout.length >= 2);
    assert.deepEqual(program.stdout.map((line) => (JSON.parse(line) as { body: unknown }).body), ["body 1", { number: 2 }]);
  });

  scenario(`regression: examples/${name} ends with what the server says where it refuses`, {}, async (stage) => {
    const program = streaming(stage, name, `${stage.server.http}/v1/sse/nonsense`);
    await program.until("it ends", () => program.end);
    assert.equal(program.end, "code 1");
    assert.match(program.stderr.join("\n"), /^HTTP 404: .*nonsense/);
  });

  scenario(`examples/${name} comes back to a server that asks for patience`, {}, async (stage) => {
    const server = createServer((_, response) => response.writeHead(503).end("later"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    stage.atEnd(() => void server.close());
    const program = streaming(stage, name, `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/sse/events`);
    await program.until("two attempts", () => program.stderr.length >= 2);
    assert.deepEqual(program.stderr.slice(0, 2), ["HTTP 503: later", "HTTP 503: later"]);
  });
}

scenario("regression: examples/curl.sh takes a channel with a query", {}, async (stage) => {
  await publishForAQuery(stage);
  const program = curl(stage, stage.server.http, `${stage.server.channel}?match=wanted.%23`);
  await program.until("an answer", () => program.stdout.length >= 1);
  const { events } = JSON.parse(program.stdout[0] ?? "") as { events: readonly { body: unknown }[] };
  assert.deepEqual(events.map(({ body }) => body), ["body 1", { number: 2 }]);
});

scenario("regression: examples/curl.sh ends with what the server says where it refuses", {}, async (stage) => {
  const program = curl(stage, stage.server.http, "nonsense");
  await program.until("it ends", () => program.end);
  assert.equal(program.end, "code 1");
  assert.match(program.stderr.join("\n"), /^HTTP 404: .*nonsense/);
});

scenario("regression: examples/plain.rs ends with what the server says where it refuses", {}, async (stage) => {
  const { server } = stage;
  for (const [url, channel, said] of [
    [server.ws, "nonsense", /nonsense/],
    [`${server.ws}?key=wrong`, server.channel, /not a key of this server/],
  ] as const) {
    const program = new Program({ name: "plain", command: binary("examples/plain"), args: [url, channel] });
    stage.atEnd(() => program.kill());
    await program.until("it ends", () => program.end);
    assert.equal(program.end, "code 1");
    assert.match(program.stderr.join("\n"), said);
  }
});

scenario("regression: examples/curl.sh says that the server cannot be reached, and goes on", {}, async (stage) => {
  const program = curl(stage, "http://127.0.0.1:1", stage.server.channel);
  await program.until("two attempts", () => program.stderr.length >= 2);
  for (const line of program.stderr) assert.match(line, /connect/);
  assert.equal(program.end, undefined);
});

/** One of those that read server-sent events. */
function streaming(stage: Stage, name: string, url: string): Program {
  const command = name === "python.py" ? "python3" : process.execPath;
  const program = new Program({ name, command, args: [join(FOLDER, name), url] });
  stage.atEnd(() => program.kill());
  return program;
}

function curl(stage: Stage, server: string, channel: string): Program {
  const program = new Program({ name: "curl.sh", command: "bash", args: [join(FOLDER, "curl.sh"), server, channel] });
  stage.atEnd(() => program.kill());
  return program;
}

/** Two events that match the query of `addressWithAQuery`, and one that does not. */
async function publishForAQuery({ server }: Stage): Promise<void> {
  await server.publish({ routingKey: "other", body: Buffer.from("not wanted") });
  await server.publish({ routingKey: "wanted.1", body: Buffer.from("body 1") });
  await server.publish({ routingKey: "wanted.2", body: Buffer.from('{"number":2}') });
}

function addressWithAQuery({ server }: Stage): string {
  return `${server.http}/v1/sse/${server.channel}?match=wanted.%23`;
}

/** Opens `event-source.html?QUERY`; gives what the page shows. */
async function eventSourcePage(stage: Stage, query: string): Promise<() => Promise<string[]>> {
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
  await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/?${query}`);
  return () => page.$$eval("li", (items) => items.map(({ textContent }) => textContent));
}

keepingScenario("examples/event-source.html misses nothing while the server is away", {}, async (stage) => {
  const url = `${stage.server.http}/v1/sse/${stage.server.channel}`;
  const shown = await eventSourcePage(stage, encodeURIComponent(url));
  await publishAroundAKill(stage, async () => (await shown()).length);
  assert.deepEqual(await shown(), BODIES);
});

for (const [how, encode] of [
  ["an address that has a query", encodeURIComponent],
  ["one that is not encoded", (address: string) => address],
] as const) {
  scenario(`regression: examples/event-source.html takes ${how}, and shows JSON`, {}, async (stage) => {
    await publishForAQuery(stage);
    const shown = await eventSourcePage(stage, encode(addressWithAQuery(stage)));
    await ask("two events", async () => (await shown()).length >= 2);
    assert.deepEqual(await shown(), ["body 1", '{"number":2}']);
  });
}
