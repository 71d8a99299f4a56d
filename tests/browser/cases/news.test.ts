/** What a user is told of breaks: by a page as the README shows it, and by the native client beside it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "puppeteer-core";
import type { Subscription } from "tiercast-peer";
import { Browser } from "../harness/browser.js";
import { ask } from "../harness/changing.js";
import { keepingScenario } from "../harness/keeping.js";
import { ROOT } from "../harness/program.js";
import { type Stage, scenario } from "../harness/scenario.js";

/** What the page has shown, and what it reads. */
declare global {
  var shown: string[];
  var reading: Subscription;
}

keepingScenario("whoever comes back is told how many events came meanwhile", {}, async (stage) => {
  const [page, native] = [await pageOfReadme(stage), await stage.native({ name: "native" })];
  await shows(page, /^connected to ws:/);
  await page.evaluate(() => {
    globalThis.reading.pause();
  });
  await publish(stage, 1);
  await native.has(1);
  assert.deepEqual((await shownIn(page)).at(-1), "paused", "nothing is given during a pause");
  await page.evaluate(() => {
    globalThis.reading.resume();
  });
  await shows(page, /^build: event 1$/);
  await stage.server.stop("SIGKILL");
  await shows(page, /^no connection; attempt 1 in \d+ ms$/);
  await stage.server.startAgain();
  await publish(stage, 2);
  await native.subscribed(2);
  await native.has(2);
  await native.program.line(/^caught up: \d+ events came after the reconnect$/);
  const [caughtUp, count] = await shows(page, /^caught up: (\d+) events came after the reconnect$/);
  const shown = await shownIn(page);
  const connected = shown.findLastIndex((line) => line.startsWith("connected"));
  const meanwhile = shown.slice(connected, shown.indexOf(caughtUp)).filter((line) => line.startsWith("build: "));
  assert.equal(meanwhile.length, Number(count), shown.join("\n"));
  assert.deepEqual(shown.filter((line) => /^(paused|resumed|build|gone)/.test(line)), ["paused", "resumed", "build: event 1", "build: event 2"]);
});

scenario("whoever comes back to a server that has lost everything is told so", {}, async (stage) => {
  const [page, native] = [await pageOfReadme(stage), await stage.native({ name: "native" })];
  await shows(page, /^connected/);
  await publish(stage, 1);
  await Promise.all([shows(page, /^build: event 1$/), native.has(1)]);
  await stage.server.stop("SIGKILL");
  await stage.server.startAgain();
  await native.subscribed(2);
  await publish(stage, 2);
  await Promise.all([shows(page, /^build: event 2$/), native.has(2)]);
  const [, from, to] = await shows(page, /^gone for good \(epoch\): what came after (\S+) up to (\S+)$/);
  assert.deepEqual(native.gaps, [{ kind: "gap", from, to, reason: "epoch" }]);
});

/** A page with the code of the README. */
async function pageOfReadme(stage: Stage): Promise<Page> {
  const readme = readFileSync(join(ROOT, "peer-client", "web", "README.md"), "utf8");
  const [, code] = /## What a user can be shown\n\n```js\n([^]*?)```/.exec(readme) ?? [];
  assert.ok(code !== undefined, "the README shows it");
  const browser = await Browser.start("chromium", "chromium");
  stage.atEnd(() => browser.stop());
  const page = await browser.newPage();
  await page.goto(stage.pageUrl);
  await page.evaluate(`(async () => {
    const { connect, formatPosition } = await import("tiercast-peer");
    const client = connect("${stage.server.ws}");
    const subscription = client.subscribe("${stage.server.channel}");
    globalThis.shown = [];
    globalThis.reading = subscription;
    const show = (line) => globalThis.shown.push(line);
    const isSubscribed = new Promise((resolve) => subscription.on("status", resolve));
    ${code}
    await isSubscribed;
  })()`);
  return page;
}

function shownIn(page: Page): Promise<string[]> {
  return page.evaluate(() => globalThis.shown);
}

async function shows(page: Page, pattern: RegExp): Promise<RegExpExecArray> {
  return ask(`the page shows ${pattern.source}`, async () => {
    const matches = (await shownIn(page)).map((line) => pattern.exec(line));
    return matches.find((match) => match !== null);
  });
}

async function publish({ server }: Stage, number: number): Promise<void> {
  await server.publish({ routingKey: "build", body: Buffer.from(`event ${number}`), contentType: "text/plain" });
}
