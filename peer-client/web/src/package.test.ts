/** What `npm pack` makes of the package: looked at as whoever installs it gets it. Tests run in the package's folder. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

interface Manifest {
  readonly engines?: unknown;
  readonly homepage: string;
  readonly license: string;
  readonly repository: { readonly url: string; readonly directory: string };
}

let project = "";
let installed = "";

before(() => {
  project = mkdtempSync(join(tmpdir(), "tiercast-package-"));
  installed = join(project, "node_modules", "tiercast-peer");
  mkdirSync(installed, { recursive: true });
  execFileSync("npm", ["pack", "--silent", "--pack-destination", project], { stdio: ["ignore", "ignore", "inherit"] });
  const [tarball] = readdirSync(project).filter((name) => name.endsWith(".tgz"));
  assert.ok(tarball !== undefined);
  execFileSync("tar", ["-xzf", join(project, tarball), "--strip-components=1", "-C", installed]);
});

after(() => {
  rmSync(project, { recursive: true, force: true });
});

function file(name: string): string {
  return readFileSync(join(installed, name), "utf8");
}

test("regression: the package brings its licences, and says where it comes from", () => {
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    assert.equal(file(name), readFileSync(join("..", "..", name), "utf8"), `${name} is the project's`);
  }
  const manifest = JSON.parse(file("package.json")) as Manifest;
  assert.equal(manifest.license, "MIT OR Apache-2.0");
  assert.match(manifest.repository.url, /^git\+https:\/\//);
  assert.equal(manifest.repository.directory, "peer-client/web");
  assert.match(manifest.homepage, /^https:\/\//);
  assert.equal(manifest.engines, undefined, "it is for browsers; Node before 22 has no WebSocket");
  for (const library of ["@msgpack/msgpack", "@noble/ed25519", "@noble/hashes", "pako"]) {
    assert.ok(file("dist/THIRD-PARTY-LICENSES").includes(`${library}\n`), library);
  }
});

test("regression: a page needs one file, and a second one if it asks for a worker", () => {
  const files = readdirSync(join(installed, "dist")).sort();
  const entries = ["emit", "testing", "tiercast-peer"].flatMap((name) => [`${name}.d.ts`, `${name}.js`]);
  assert.deepEqual(files, ["THIRD-PARTY-LICENSES", ...entries, "tiercast-worker.js"]);
  for (const name of ["tiercast-peer", "emit", "tiercast-worker"]) {
    assert.doesNotMatch(file(`dist/${name}.js`), /\bimport\s*[({"*]|\bfrom\s*"/, name);
  }
  // As bundlers look for it.
  assert.match(file("dist/tiercast-peer.js"), /new Worker\(new URL\("\.\/tiercast-worker\.js",import\.meta\.url\)\)/);
});

test("regression: errors that nobody catches are shown with their names", async () => {
  for (const entry of ["tiercast-peer", "emit"]) {
    const exported = (await import(pathToFileURL(join(installed, "dist", `${entry}.js`)).href)) as Record<string, { name: string }>;
    const errors = Object.keys(exported).filter((name) => name.endsWith("Error"));
    assert.ok(errors.length >= 3, entry);
    assert.deepEqual(errors.map((name) => exported[name]?.name), errors, entry);
  }
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", UNCAUGHT], { cwd: project, encoding: "utf8" });
  assert.match(stderr, /^EventNameError: the thing of an event's name is empty/m);
});

const UNCAUGHT = 'import { eventName } from "tiercast-peer/emit"; eventName("", 1, "updated");';

test("a page does not load what backends and tests need", () => {
  assert.doesNotMatch(file("dist/tiercast-peer.js"), /v1\/publish|SIGNALING_SERVER/);
});

test("regression: the types need no other file, and hold for strict programs", () => {
  for (const entry of ["tiercast-peer", "emit", "testing"]) {
    assert.doesNotMatch(file(`dist/${entry}.d.ts`), /\bimport\b|\bfrom "/);
  }
  writeFileSync(join(project, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(project, "program.ts"),
    `import { type ClientStatus, Code, ConnectError, type Event, type Notification, connect } from "tiercast-peer";
import { type EmitError, Emitter, type NewEvent, eventName, type Position } from "tiercast-peer/emit";
import { assertEvents, capture, Received, type TestEvent, TestServer } from "tiercast-peer/testing";
const emitter = new Emitter("http://127.0.0.1:1", "tickets", "key", { giveUpMs: 100 });
const event: NewEvent = { routingKey: eventName("ticket", 1n, "updated"), json: null };
const reasonOf = (error: EmitError): string => error.reason satisfies "refused" | "gave_up" | "full" | "bad_server" | "bad_key" | "bad_data";
const server = await TestServer.start({ channels: ["tickets"] });
const { result, events } = await capture(server, "tickets", async () => emitter.publish(event));
assertEvents(events satisfies TestEvent[], [[String((result satisfies Position).epoch), reasonOf.name]]);
const client = connect("ws://127.0.0.1:1", { relay: "never" });
client.on("status", (status: ClientStatus) => status.kind);
const line = (n: Notification): string => (n.type === "event" ? n.routingKey : n.reason);
for await (const n of client.subscribe("builds", { match: ["#"] })) console.log(line(n), n.type === "event" && (n satisfies Event));
const received = new Received<Notification>();
for (const type of ["event", "gap"] as const) client.subscribe("tickets").on(type, received.add);
assertEvents((await received.until("all", ({ type }) => type === "gap")).filter((n) => n.type === "event"), []);
console.log(Code.shutdown, new ConnectError("bad_url", "x").reason satisfies "bad_url" | "insecure" | "no_websocket");
// @ts-expect-error: a reason is one of three
new ConnectError("other", "x");
`,
  );
  const tsc = join(process.cwd(), "node_modules", "typescript", "bin", "tsc");
  const options = ["--strict", "--noEmit", "--exactOptionalPropertyTypes", "--verbatimModuleSyntax"];
  const modern = ["--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.asynciterable"];
  execFileSync(process.execPath, [tsc, ...options, ...modern, "program.ts"], { cwd: project, stdio: "inherit" });
});
