/** The demo: its page joins, shows what is there, relays, and its buttons work. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import type { Page } from "playwright-core";
import { ask } from "../harness/changing.js";
import { Chromium } from "../harness/chromium.js";
import { Demo, numberIn, shownPeers, untilText } from "../harness/demo.js";
import { PageServer } from "../harness/page-server.js";
import { ROOT } from "../harness/program.js";

const TEST_MS = 300_000;
const SHOTS = join(ROOT, "tests", "browser", "shots");

function demo(name: string, args: readonly string[], body: (demo: Demo) => Promise<void>): void {
  test(name, { timeout: TEST_MS }, async () => {
    const started = await Demo.start(...args);
    try {
      await body(started);
      assert.deepEqual(started.errors, [], "the page's console has no errors");
    } catch (error) {
      console.log(`${name}\n${started.program.tail()}\n${started.errors.join("\n")}`);
      throw error;
    } finally {
      await started.stop();
    }
  });
}

/** Waits until the page has a place in the tree; gives its number. */
async function joined(page: Page): Promise<number> {
  await untilText(page, "#pill-text", /^Connected, tier \d+$/);
  const [, name] = await untilText(page, "#you-line", /You are peer (\d+) in tier \d+, fed by /);
  return ask("it is in the tree", async () => {
    const nodes = await ownNodes(page);
    return nodes.find((peer) => called(peer) === Number(name));
  });
}

/** The page's own node, and the one that it was before while that one goes. */
async function ownNodes(page: Page): Promise<number[]> {
  return page.locator("#tree .node.you").evaluateAll((nodes) => nodes.map((node) => Number(node.getAttribute("data-peer"))));
}

/** How the page calls a peer: by the end of its number. */
function called(peer: number): number {
  return peer % 100_000;
}

/** Waits until the latest incident is over; gives its figures as they are read. */
async function latestCard(page: Page, title: RegExp): Promise<{ hit: string; stall: string; egress: string; state: string }> {
  const card = page.locator("#cards > .card").first();
  await untilText(page, "#cards > .card:first-child .card-head b", title);
  await ask("it is over", async () => (await card.getAttribute("data-state")) === "over");
  const text = async (part: string): Promise<string> => ((await card.locator(part).textContent()) ?? "").replaceAll("\u202f", " ");
  assert.equal(await text(".card-lost"), "0 events");
  const [hit, stall, egress, state] = [await text(".card-hit"), await text(".card-stall"), await text(".card-egress"), await text(".card-state")];
  assert.match(stall, /^[\d.]+ m?s$/);
  assert.match(egress, /^[\d.]+ k?B → [\d.]+ k?B → [\d.]+ k?B$/);
  return { hit, stall, egress, state };
}

/** Waits until the page shows exactly the peers that the server knows. */
async function showsTheTree(demo: Demo, page: Page): Promise<void> {
  let [shown, known]: [number[], number[]] = [[], []];
  await ask(
    "the page shows the tree",
    async () => {
      known = (await demo.topology()).map(({ peer }) => peer).sort((a, b) => a - b);
      shown = await shownPeers(page);
      return shown.join() === known.join();
    },
    () => `but ${shown.join()} instead of ${known.join()}`,
  );
}

async function expectClean(demo: Demo, page: Page): Promise<void> {
  await untilText(page, "#own-missing", /^0$/);
  await untilText(page, "#own-duplicates", /^0$/);
  await untilText(page, "#swarm-missing", /^0$/);
  await untilText(page, "#swarm-duplicates", /^0$/);
  const { swarm } = await demo.state();
  assert.equal(swarm.duplicates, 0);
}

demo("the page joins as a peer and shows the tree with itself, its events and figures", ["--peers", "12"], async (demo) => {
  const page = await demo.open();
  const peer = await joined(page);
  await showsTheTree(demo, page);
  const you = page.locator("#tree .node.you");
  assert.equal(await you.count(), 1);
  assert.equal(await you.getAttribute("data-peer"), String(peer));
  assert.equal(await you.locator("text").textContent(), "you");

  const node = (await demo.topology()).find((candidate) => candidate.peer === peer);
  assert.equal(node?.node, "browser");
  const feeder = node.parent === null ? "the server" : `peer ${called(node.parent)}`;
  await untilText(page, "#you-line", new RegExp(`in tier ${node.tier}, fed by ${feeder}\\.`));

  await ask("events arrive", async () => (await page.locator("#events > li").count()) >= 5);
  const before = await numberIn(page, "#own-received");
  await ask("more events arrive", async () => (await numberIn(page, "#own-received")) >= before + 20);
  await untilText(page, "#share", /^\d/);
  await untilText(page, "#direct-rate", /\d.*\/s/);
  await untilText(page, "#server-rate", /\d.*\/s/);
  await untilText(page, "#rate-now", /^(9|10|11)$/);
  await untilText(page, "#latency-now", /\d.* ?ms/);
  await untilText(page, "#own-latency", /\d/);
  await untilText(page, "#legend", /tier 1: 3/);
  const offload = await numberIn(page, "#share");
  assert.ok(offload > 50 && offload <= 100, `the peers carry ${offload} %`);
  await expectClean(demo, page);
});

demo("peers are added, removed and killed, and the rate is changed, by clicking", ["--peers", "12"], async (demo) => {
  const page = await demo.open();
  await joined(page);
  const press = async (button: string, peers: number): Promise<void> => {
    await page.click(button);
    await untilText(page, "#native-peers", new RegExp(`^${peers}$`));
    await demo.untilTree(`there are ${peers} native peers`, (tree) => tree.length === peers + 1);
    await showsTheTree(demo, page);
  };
  await press("#add-10", 22);
  await press("#add-1", 23);
  await press("#remove-10", 13);
  await press("#remove-1", 12);

  await demo.untilTree("all have places", (tree) => tree.every(({ tier }) => tier > 0));
  await press("#kill", 11);
  await latestCard(page, /^Killed a relay$/);

  const slider = page.locator("#rate");
  await slider.focus();
  await page.keyboard.press("End");
  await ask("the publisher is fast", async () => (await demo.state()).rate_per_s === 500);
  await untilText(page, "#rate-value", /^500\/s$/);
  await ask("the page gets as many", async () => (await numberIn(page, "#rate-now")) > 300);
  await page.keyboard.press("Home");
  await ask("the publisher is slow", async () => (await demo.state()).rate_per_s === 1);
  await untilText(page, "#rate-now", /^[12]$/);
  await expectClean(demo, page);
});

demo("the page relays to peers, reports them, and stops when it is told to", ["--peers", "12"], async (demo) => {
  const page = await demo.open();
  const first = await joined(page);
  await page.click("#add-10");
  await untilText(page, "#native-peers", /^22$/);
  await page.click("#add-10");
  await untilText(page, "#native-peers", /^32$/);
  const node = await demo.untilTree("the page has children", (peers) =>
    peers.find(({ peer, children }) => peer === first && children > 0),
  );
  assert.ok(node.children <= node.children_max);
  const [, child] = await untilText(page, "#you-children", /^You feed peer (\d+) \([1-9][^)]*\)/);
  await demo.untilTree("the server says so, too", (peers) =>
    peers.some(({ peer, parent }) => called(peer) === Number(child) && parent === first),
  );
  await expectClean(demo, page);

  await page.click("#relay");
  await untilText(page, "#pill-text", /not relaying/i);
  await untilText(page, "#you-line", /^You are peer \d+, fed by the server/);
  assert.equal(await page.locator("#relay").getAttribute("aria-checked"), "false");
  await demo.untilTree("the page is fed by the server", (peers) => peers.some(({ place, node }) => place === "direct" && node === null));
  await demo.untilTree("its children have moved", (peers) => peers.every(({ parent }) => parent !== first));
  await page.click("#relay");
  await joined(page);
  await expectClean(demo, page);
});

demo("regression: the switch is called Relaying, and the dot is green only while it is on", ["--peers", "2"], async (demo) => {
  const page = await demo.open();
  await joined(page);
  const relaying = page.getByRole("switch", { name: "Relaying", exact: true });
  const pill = page.locator("#pill");
  assert.deepEqual([await relaying.getAttribute("aria-checked"), await pill.getAttribute("data-tone")], ["true", "good"]);
  await relaying.click();
  await untilText(page, "#pill-text", /^Not relaying$/);
  assert.deepEqual([await relaying.getAttribute("aria-checked"), await pill.getAttribute("data-tone")], ["false", "calm"]);
  await relaying.click();
  await joined(page);
  assert.deepEqual([await relaying.getAttribute("aria-checked"), await pill.getAttribute("data-tone")], ["true", "good"]);
});

demo("regression: +10 adds as many as there is room for, and says so", ["--peers", "197", "--rate", "1"], async (demo) => {
  const page = await demo.open();
  await untilText(page, "#native-peers", /^197$/);
  await page.click("#add-10");
  await untilText(page, "#feedback", /^Added 3 native peers: the demo runs at most 200\.$/);
  await untilText(page, "#native-peers", /^200$/);
  assert.equal((await demo.state()).native_peers, 200);
});

for (const [device, viewport] of [
  ["desktop", { width: 1280, height: 800 }],
  ["phone", { width: 390, height: 844 }],
] as const) {
  demo(`regression: the name of the page's own node lies on top of those who join later, on a ${device}`, ["--peers", "4"], async (demo) => {
    const page = await demo.open({ viewport });
    await joined(page);
    for (let peers = 14; peers <= 64; peers += 10) {
      await page.click("#add-10");
      await untilText(page, "#native-peers", new RegExp(`^${peers}$`));
    }
    await demo.untilTree("all have places", (tree) => tree.length === 65 && tree.every(({ tier }) => tier > 0));
    await showsTheTree(demo, page);
    assert.deepEqual(await page.evaluate(onTopOfYou), [], "drawn after the page's own node");
    let covered: string[] = [];
    await ask(
      "nothing covers the name",
      async () => {
        covered = await page.evaluate(coveringYourName);
        return covered.length === 0;
      },
      () => covered.join(),
    );
  });
}

demo("regression: a page of another site cannot operate the demo", ["--peers", "6", "--rate", "1"], async (demo) => {
  await demo.untilTree("somebody relays", (peers) => peers.some(({ place }) => place === "child"));
  const pages = await PageServer.start();
  const chromium = await Chromium.start("browser that is led astray", ["--host-resolver-rules=MAP evil.example 127.0.0.1"]);
  try {
    const site = await chromium.context.newPage();
    await site.goto(pages.url);
    // For this a browser asks nobody beforehand; the page is not told what came of it.
    await site.evaluate(async (url) => fetch(`${url}/demo/fault`, { method: "POST", mode: "no-cors" }), demo.url);
    assert.equal((await demo.state()).native_peers, 6);

    // A site whose name points here: to the browser its page is the demo's own.
    await site.goto(demo.url.replace("127.0.0.1", "evil.example"));
    await site.locator("#kill:not([aria-disabled])").click();
    await untilText(site, "#feedback", /^The demo is not called `evil\.example:\d+`.* open the demo's own page/i);
    assert.equal((await demo.state()).native_peers, 6);
  } finally {
    await Promise.allSettled([pages.stop(), chromium.stop()]);
  }
});

demo("each fault has a button, and a card that stays, says who was hit, and ends with nothing lost", ["--peers", "12"], async (demo) => {
  const page = await demo.open();
  await joined(page);
  await demo.untilTree("all have places", (tree) => tree.every(({ tier }) => tier > 0));
  assert.ok(await page.locator("#incidents").isHidden(), "nothing has happened yet");

  await page.click("#kill-tier1");
  await untilText(page, "#cards .card-state", /^still recovering…$/);
  assert.match((await latestCard(page, /^Killed a tier-1 peer$/)).hit, /^1 peer in tier 1; /);
  await untilText(page, "#native-peers", /^11$/);

  await page.click("#kill-share");
  assert.match((await latestCard(page, /^Killed 30.% of the peers$/)).hit, /^3 peers/);
  await untilText(page, "#native-peers", /^8$/);
  await page.click("#add-10");
  await untilText(page, "#native-peers", /^18$/);
  await demo.untilTree("they have places", (tree) => tree.length === 19 && tree.every(({ tier }) => tier > 0));

  await page.click("#freeze");
  await untilText(page, "#legend", /frozen: 1/);
  assert.equal(await page.locator("#tree .node.frozen").count(), 1);
  await page.locator("#restart").click({ force: true });
  await untilText(page, "#feedback", /^Somebody is frozen: wait until they run again\.$/);
  await latestCard(page, /^Froze a relay$/);
  await ask("it runs again", async () => (await page.locator("#tree .node.frozen").count()) === 0);

  await page.click("#lie");
  await untilText(page, "#legend", /lying: 1/);
  assert.match((await latestCard(page, /^Made a relay lie$/)).hit, /It (changes|sends|tells) .*\.$/);

  const titles = await page.locator("#cards .card-head b").allTextContents();
  assert.deepEqual(titles.map((title) => title.replace("\u202f", " ")), [
    "Made a relay lie",
    "Froze a relay",
    "Killed 30 % of the peers",
    "Killed a tier-1 peer",
  ]);
  await page.reload();
  await joined(page);
  assert.deepEqual(await page.locator("#cards .card-head b").allTextContents(), titles, "the cards stay");
  await expectClean(demo, page);
});

demo("the server is restarted, and the page comes back by itself with its cards", ["--peers", "12"], async (demo) => {
  const page = await demo.open();
  const before = await joined(page);
  await page.click("#kill");
  await latestCard(page, /^Killed a relay$/);
  demo.expectRefusals();
  await page.click("#restart");
  const { hit, state } = await latestCard(page, /^Restarted the server$/);
  assert.match(hit, /^All 11 native peers lost their session/);
  assert.match(state, /^recovered, server away for [\d.]+ m?s$/);
  assert.equal(await page.locator("#cards > .card").count(), 2);
  assert.equal(await joined(page), before, "it is the same peer");
  await untilText(page, "#own-reconnects", /^1$/);
  const received = await numberIn(page, "#own-received");
  await ask("events arrive", async () => (await numberIn(page, "#own-received")) >= received + 20);
  await showsTheTree(demo, page);
  await expectClean(demo, page);
});

demo("the mesh is switched off and on: the server feeds everybody meanwhile, and it is seen", ["--peers", "12"], async (demo) => {
  const page = await demo.open();
  await joined(page);
  await ask("the peers carry most", async () => (await numberIn(page, "#share")) > 60);
  await page.click("#mesh");
  await latestCard(page, /^Switched the mesh off$/);
  assert.equal(await page.locator("#mesh").getAttribute("aria-checked"), "false");
  await demo.untilTree("nobody relays", (tree) => tree.every(({ parent }) => parent === null));
  await untilText(page, "#pill-text", /^Not relaying$/);
  await untilText(page, "#legend", /fed by the server: 13/);
  await ask("the peers carry nothing", async () => (await numberIn(page, "#share")) < 5);
  await page.locator("#freeze").click({ force: true });
  await untilText(page, "#feedback", /^Nobody relays while the mesh is off\.$/);

  await page.click("#mesh");
  await latestCard(page, /^Switched the mesh on$/);
  await joined(page);
  await demo.untilTree("they relay again", (tree) => tree.filter(({ parent }) => parent !== null).length >= 8);
  await ask("the peers carry most again", async () => (await numberIn(page, "#share")) > 60);
  await expectClean(demo, page);
});

demo("the page says that the demo is gone, and comes back with it", ["--peers", "6"], async (demo) => {
  const page = await demo.open();
  await joined(page);
  await demo.kill();
  await untilText(page, "#overlay-title", /^The server is gone$/);
  await page.locator("#overlay").waitFor({ state: "visible" });
  await untilText(page, "#pill-text", /Server gone/);
  await demo.startAgain();
  await page.locator("#overlay").waitFor({ state: "hidden" });
  await joined(page);
  await showsTheTree(demo, page);
  demo.isUpAgain();
  const before = await numberIn(page, "#own-received");
  await ask("events arrive again", async () => (await numberIn(page, "#own-received")) > before);
});

demo("a pulse has its place in the tree as soon as it is there", ["--peers", "6"], async (demo) => {
  const page = await demo.open();
  await joined(page);
  const pulses = await page.evaluate(firstPulses, 3);
  for (const { x, y, width, height } of pulses) {
    assert.ok(x > 0 && x < width && y > 0 && y < height, `at ${x},${y} of ${width}x${height}`);
  }
});

const DEVICES = {
  "the page fits a desktop": { viewport: { width: 1440, height: 900 } },
  "the page fits a phone": { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  // The narrowest that there are.
  "regression: the page fits a small phone": { viewport: { width: 320, height: 568 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
} as const;

for (const [title, options] of Object.entries(DEVICES)) {
  demo(`${title}, light and dark`, ["--peers", "40"], async (demo) => {
    mkdirSync(SHOTS, { recursive: true });
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await demo.open({ ...options, colorScheme });
      await joined(page);
      await page.locator("#tree .node.you[class*=' t']").waitFor();
      await ask("events arrive", async () => (await page.locator("#events > li").count()) >= 10);
      await ask("the charts have lines", async () => {
        const lines = await page.locator(".plot path.line").evaluateAll((paths) => paths.map((path) => path.getAttribute("d") ?? ""));
        return lines.length === 4 && lines.every((line) => line.split(/[ML]/).length > 8);
      });
      await untilText(page, "#share", /^\d/);
      await showsTheTree(demo, page);
      await page.click("#kill-share");
      await untilText(page, "#cards > .card:first-child .card-state", /^still recovering…$/);
      await latestCard(page, /^Killed 30.% of the peers$/);
      await page.screenshot({ path: join(SHOTS, `${options.viewport.width}-${colorScheme}.png`), fullPage: true });

      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= options.viewport.width, `it scrolls sideways: ${width}`);
      assert.deepEqual(await page.evaluate(outsideOfScreen), [], "elements beyond the edge");
      assert.deepEqual(await page.evaluate(cutOff), [], "texts that are cut off");
      await page.evaluate(writeLongFigures);
      assert.deepEqual(await page.evaluate(outsideOfScreen), [], "long figures beyond the edge");
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(isDark(ground), colorScheme === "dark", ground);
      await page.context().close();
      await demo.untilTree("the page has gone", (peers) => peers.every(({ node }) => node === "native"));
    }
  });
}

function isDark(colour: string): boolean {
  const parts = colour.match(/\d+/g)?.slice(0, 3).map(Number) ?? [];
  return parts.every((part) => part < 64);
}

/** Runs in the page: where the next pulses are before they are drawn for the first time, and how large the tree is. */
async function firstPulses(count: number): Promise<{ x: number; y: number; width: number; height: number }[]> {
  const tree = document.querySelector("#tree");
  if (tree === null) throw new Error("there is no tree");
  const { clientWidth: width, clientHeight: height } = tree;
  const found: { x: number; y: number; width: number; height: number }[] = [];
  return new Promise((resolve) => {
    new MutationObserver((changes, observer) => {
      for (const node of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
        if (!(node instanceof SVGCircleElement) || !node.classList.contains("pulse")) continue;
        found.push({ x: node.cx.baseVal.value, y: node.cy.baseVal.value, width, height });
      }
      if (found.length < count) return;
      observer.disconnect();
      resolve(found);
    }).observe(tree, { childList: true, subtree: true });
  });
}

/** Runs in the page: who is drawn after, and so above, the page's own node. */
function onTopOfYou(): (string | null)[] {
  const nodes = [...document.querySelectorAll("#tree .node")];
  return nodes.slice(nodes.findIndex((node) => node.matches(".you")) + 1).map((node) => node.getAttribute("data-peer"));
}

/** Runs in the page: what lies on the name of the page's own node. */
function coveringYourName(): string[] {
  const name = document.querySelector(".you g.you-mark rect");
  if (name === null) return ["there is no name"];
  name.scrollIntoView({ block: "center" });
  const { left, top, width, height } = name.getBoundingClientRect();
  const found = new Set<string>();
  for (let x = 0.05; x < 1; x += 0.05) {
    // The rest of the box are its round corners.
    const margin = x < 0.25 || x > 0.75 ? 0.4 : 0.1;
    for (let y = margin; y <= 1 - margin; y += 0.05) {
      const above = document.elementFromPoint(left + x * width, top + y * height);
      if (above === null) found.add("it is out of sight");
      else if (above.closest(".you") === null) found.add(above.outerHTML);
    }
  }
  return [...found];
}

/** Runs in the page: figures as they are after a day on a slow machine. */
function writeLongFigures(): void {
  const latency = "12\u202f345 / 67\u202f890\u202fms";
  const figures: Readonly<Record<string, string>> = {
    "own-received": "1\u202f234\u202f567",
    "swarm-received": "123\u202fM",
    "own-missing": "12\u202f345",
    "swarm-missing": "12\u202f345",
    "swarm-title": "200 native peers",
    "own-latency": latency,
    "swarm-latency": latency,
    "latency-now": latency,
  };
  for (const [id, text] of Object.entries(figures)) document.getElementById(id)?.replaceChildren(text);
}

/** Runs in the page: visible elements that reach beyond their section or its margin, or have no size. */
function outsideOfScreen(): string[] {
  const found: string[] = [];
  for (const element of document.querySelectorAll("main section, main section *, header *")) {
    const style = getComputedStyle(element);
    if (style.display === "none" || style.visibility === "hidden" || element.closest(".unseen, [hidden]") !== null) continue;
    const box = element.getBoundingClientRect();
    if (box.width === 0) continue;
    // The tree alone reaches into the margin.
    const around = element.closest("main section, header")?.getBoundingClientRect();
    const margin = element.closest(".stage") === null ? 1 : 10;
    if (around === undefined || box.left < around.left - margin || box.right > around.right + margin) {
      found.push(`${element.tagName} ${element.id} ${element.getAttribute("class") ?? ""} ${box.left}..${box.right}`);
    }
  }
  for (const id of ["share", "tree", "native-peers", "rate", "kill", "mesh", "you-line", "events", "rate-chart", "latency-chart"]) {
    const box = document.getElementById(id)?.getBoundingClientRect();
    if (box === undefined || box.width < 8 || box.height < 8) found.push(`#${id} has no size`);
  }
  return found;
}

/** Runs in the page: texts that do not fit in their element, and are not shortened with dots either. */
function cutOff(): string[] {
  const found: string[] = [];
  for (const element of document.querySelectorAll<HTMLElement>("main *, header *")) {
    if (element.childElementCount > 0 || element.closest(".unseen, [hidden], svg") !== null) continue;
    if (element.textContent.trim() === "" || getComputedStyle(element).textOverflow === "ellipsis") continue;
    if (element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1) {
      found.push(`${element.tagName} ${element.id}: ${element.textContent}`);
    }
  }
  return found;
}
