/** Clients that we did not write, used as their documentation shows, with a server that is killed in between. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { build } from "esbuild";
import { EventSource } from "eventsource";
import { Browser } from "../harness/browser.js";
import { BODIES, bodiesIn, publishAroundAKill } from "../harness/interrupted.js";
import { keepingScenario } from "../harness/keeping.js";
import { Program, ROOT } from "../harness/program.js";
import { type Stage, scenario } from "../harness/scenario.js";

/** Where `scripts/install` has put the Python packages. */
const PYTHON = join(ROOT, "target", "python", "bin", "python");
const RETRY = { "limits.reader_retry_ms": 200 };

keepingScenario("the npm package eventsource misses nothing while the server is away", RETRY, async (stage) => {
  const source = new EventSource(sseOf(stage));
  stage.atEnd(() => {
    source.close();
  });
  const lines: string[] = [];
  const others: string[] = [];
  source.onmessage = ({ data }) => lines.push(String(data));
  for (const name of ["ready", "gap", "end"]) source.addEventListener(name, () => others.push(name));
  await publishAroundAKill(stage, () => lines.length);
  assert.deepEqual(bodiesIn(lines), BODIES);
  assert.equal(lines.length, BODIES.length, "nothing else came as a message");
  assert.deepEqual(others, ["ready", "ready"], "it connected twice, and there was no gap");
});

keepingScenario("regression: the npm package eventsource misses nothing in a page of another origin either", RETRY, async (stage) => {
  const bundle = { contents: 'export { EventSource } from "eventsource"', resolveDir: join(ROOT, "tests", "browser") };
  const { outputFiles } = await build({ stdin: bundle, bundle: true, globalName: "library", write: false });
  const browser = await Browser.start("chromium", "chromium");
  stage.atEnd(() => browser.stop());
  const page = await browser.newPage();
  await page.goto(stage.pageUrl);
  await page.addScriptTag({ content: outputFiles[0]?.text ?? "" });
  await page.evaluate(`globalThis.lines = [];
    new library.EventSource("${sseOf(stage)}").onmessage = ({ data }) => globalThis.lines.push(data);`);
  const lines = async (): Promise<string[]> => (await page.evaluate("globalThis.lines")) as string[];
  await publishAroundAKill(stage, async () => (await lines()).length);
  assert.deepEqual(bodiesIn(await lines()), BODIES);
});

keepingScenario("Python's websockets misses nothing while the server is away", {}, async (stage) => {
  const url = `ws://${stage.server.address}/v1/ws`;
  const program = python(stage, "json_lines.py", [url, stage.server.channel]);
  await publishAroundAKill(stage, () => bodiesIn(program.stdout).length);
  assert.deepEqual(bodiesIn(program.stdout), BODIES, program.tail());
  const types = program.stdout.map((line) => (JSON.parse(line) as { type: string }).type);
  assert.deepEqual(types.filter((type) => type !== "event"), ["subscribed", "subscribed"]);
});

keepingScenario("Python's httpx-sse misses nothing while the server is away", RETRY, async (stage) => {
  const program = python(stage, "sse_lines.py", [sseOf(stage)]);
  await publishAroundAKill(stage, () => bodiesIn(program.stdout).length);
  assert.deepEqual(bodiesIn(program.stdout), BODIES, program.tail());
  const others = program.stdout.filter((line) => !line.startsWith("{")).map((line) => line.split(":")[0]);
  assert.deepEqual(others, ["ready", "ready"], "nothing else came");
});

const QUIET = { "limits.reader_heartbeat_ms": 100, "limits.reader_retry_ms": 200 };

scenario("regression: what is no event is no message for Python's httpx-sse", { set: QUIET }, async (stage) => {
  const program = python(stage, "sse_lines.py", [`${sseOf(stage)}&match=wanted`]);
  await program.line(/^ready: /, "stdout");
  await stage.server.publish({ routingKey: "other", body: Buffer.from("passed over") });
  await program.line(/^at: /, "stdout");
  await stage.server.publish({ routingKey: "wanted", body: Buffer.from("body 0") });
  await program.line(/"body 0"/, "stdout");
  const names = program.stdout.map((line) => (line.startsWith("{") ? "event" : line.split(":")[0]));
  assert.deepEqual(names, ["ready", "at", "event"]);
});

function sseOf({ server }: Stage): string {
  return `${server.http}/v1/sse/${server.channel}?since=earliest`;
}

/** A program of `clients/`. */
function python(stage: Stage, name: string, args: readonly string[]): Program {
  const file = join(ROOT, "tests", "browser", "clients", name);
  // So that it does not wait for seconds until it tries again.
  const env = { WEBSOCKETS_BACKOFF_INITIAL_DELAY: "0.5", WEBSOCKETS_BACKOFF_MIN_DELAY: "0.2" };
  const program = new Program({ name, command: PYTHON, args: [file, ...args], env });
  stage.atEnd(() => program.kill());
  return program;
}
