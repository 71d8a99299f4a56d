/** What a page remembers: where it goes on when it is loaded again, and that two tabs do not disturb each other. */
import assert from "node:assert/strict";
import type { Page } from "puppeteer-core";
import { Browser } from "../harness/browser.js";
import { type Stage, scenario } from "../harness/scenario.js";

/** Takes so many events and leaves the last of them undone; gives their bodies. */
async function take(page: Page, stage: Stage, count: number): Promise<string[]> {
  const given = { url: stage.server.ws, channel: stage.server.channel, count };
  return page.evaluate(async ({ url, channel, count }) => {
    const peer = "tiercast-peer";
    const { connect } = (await import(peer)) as typeof import("tiercast-peer");
    const client = connect(url, { relay: "never" });
    const bodies: string[] = [];
    for await (const told of client.subscribe(channel, { since: "earliest", remember: "test" })) {
      bodies.push(told.type === "event" ? told.text() : told.reason);
      if (bodies.length === count) break;
    }
    return bodies;
  }, given);
}

function numbers(first: number, end: number): string[] {
  return Array.from({ length: end - first }, (_, index) => String(first + index));
}

async function open(browser: Browser, stage: Stage): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(stage.pageUrl);
  return page;
}

scenario("a page that is loaded again goes on with the event that it was at, and so does each tab for itself", {}, async (stage) => {
  for (const body of numbers(0, 20)) await stage.server.publish({ body: Buffer.from(body) });
  const browser = await Browser.start("chromium", "tabs", []);
  stage.atEnd(() => browser.stop());
  const one = await open(browser, stage);
  assert.deepEqual(await take(one, stage, 10), numbers(0, 10));
  await one.reload();
  const other = await open(browser, stage);
  assert.deepEqual(await take(other, stage, 8), numbers(9, 17), "a new tab begins where the other one was");
  assert.deepEqual(await take(one, stage, 3), numbers(9, 12), "whom that does not disturb");
  await Promise.all([one.reload(), other.reload()]);
  assert.deepEqual(await take(one, stage, 2), numbers(11, 13));
  assert.deepEqual(await take(other, stage, 2), numbers(16, 18));
});
