/** Whoever the server does not want, or who is at the wrong address: told why, and not there again and again. */
import assert from "node:assert/strict";
import { Browser, type Engine } from "../harness/browser.js";
import { installed } from "../harness/installed.js";
import { Program, binary } from "../harness/program.js";
import { type Stage, scenario } from "../harness/scenario.js";

const CLOSED = { set: { keys_required: "true" } };

/** What a program or page is told, of the client and by its loop. */
const TOLD = `async (url, channel) => {
  const { connect } = await import("tiercast-peer");
  const told = [];
  const client = connect(url);
  client.on("status", ({ kind, code, reason }) => told.push(code === undefined ? kind : kind + " " + code + ": " + reason));
  try {
    for await (const { type } of client.subscribe(channel)) told.push(type);
  } catch (error) {
    told.push(String(error));
  }
  return told;
}`;

/** A server's address, and the code and reason that those get who come there. */
function addresses({ ws }: Stage["server"]): readonly (readonly [string, string])[] {
  return [
    [ws, "3509: a subscription key is needed: "],
    [`${ws}?key=wrong`, "3509: this is not a key of this server: "],
    [ws.replace("/v1/ws", "/v1/sw"), "3506: there is nothing at /v1/sw: WebSockets are at /v1/ws"],
  ];
}

function isTold(told: readonly string[], why: string): void {
  const [first, error, ...more] = told;
  assert.ok(first?.startsWith(`closed ${why}`), told.join("\n"));
  assert.match(error ?? "", /^SubscriptionError: (not_allowed|bad_request): /);
  assert.deepEqual(more, []);
}

for (const engine of ["chromium", "firefox"] as const satisfies readonly Engine[]) {
  scenario(`a page in ${engine} that the server does not want is told why, and ends`, CLOSED, async (stage) => {
    const browser = await Browser.start(engine, engine);
    stage.atEnd(() => browser.stop());
    const page = await browser.newPage();
    await page.goto(stage.pageUrl);
    for (const [url, why] of addresses(stage.server)) {
      isTold((await page.evaluate(`(${TOLD})("${url}", "builds")`)) as string[], why);
    }
  });
}

scenario("programs that the server does not want are told why, and end", CLOSED, async (stage) => {
  const path = await installed(stage, `console.log(JSON.stringify(await (${TOLD})(process.argv[2], "builds")))`);
  const flags = typeof WebSocket === "undefined" ? ["--experimental-websocket"] : [];
  for (const [url, why] of addresses(stage.server)) {
    const node = new Program({ name: "node", command: process.execPath, args: [...flags, path, url] });
    const native = new Program({ name: "native", command: binary("peer-client"), args: ["subscribe", url, "builds"] });
    stage.atEnd(() => Promise.all([node.kill(), native.kill()]).then(() => undefined));
    await node.until("the program in Node ends", () => node.end);
    isTold(JSON.parse(node.stdout.join("")) as string[], why);
    await native.until("the native client ends", () => native.end);
    assert.equal(native.end, "code 2");
    const [code, reason] = why.split(": ");
    assert.match(native.stderr.join("\n"), new RegExp(`^error: closed by the server with ${code} \\w+: ${reason}`, "m"));
  }
});
