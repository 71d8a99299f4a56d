// Takes pictures of the page in its states, for looking at: `npm run shots -- OUTDIR [part of a name]`.
// CHROMIUM names the browser.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { root } from "../scripts/bundle.mjs";

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const SMALL = { width: 320, height: 568 };

const STATES = {
  20: { args: ["--peers", "20", "--browsers", "2"] },
  60: { args: ["--peers", "60", "--browsers", "5"] },
  197: { args: ["--peers", "197", "--browsers", "12", "--rate", "200"] },
  empty: { args: ["--peers", "0", "--real"], waitMs: 3_000 },
  gone: { args: ["--peers", "24"], then: "stop" },
  real: { args: ["--peers", "24", "--real"] },
  killed: { args: ["--peers", "60"], then: "kill" },
  joining: { args: ["--peers", "24"], then: "join" },
  tip: { args: ["--peers", "40", "--browsers", "5"], then: "tip" },
  full: { args: ["--peers", "197"], then: "join" },
  nowebrtc: { args: ["--peers", "24"], init: "delete globalThis.RTCPeerConnection" },
  direct: { args: ["--peers", "24"], then: "direct" },
};

const [outdir = join(root, "node_modules", ".cache", "shots"), part = ""] = process.argv.slice(2);
mkdirSync(outdir, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "tiercast-shots-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  let port = 18_780;
  for (const [state, options] of Object.entries(STATES)) {
    for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE, small: SMALL })) {
      for (const scheme of ["light", "dark"]) {
        const name = `${state}-${device}-${scheme}`;
        if (!name.includes(part)) continue;
        await shoot(name, port++, viewport, scheme, options);
      }
    }
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}

async function shoot(name, port, viewport, scheme, { args, waitMs = 5_000, then, init = "" }) {
  const server = spawn(process.execPath, [join(root, "mock", "server.mjs"), "--port", String(port), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => server.on("exit", resolve));
  await new Promise((resolve) => server.stdout.once("data", resolve));
  const page = await browser.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !message.text().includes("Failed to load resource")) {
      console.log(`${name}: ${message.type()}: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => console.log(`${name}: ${error.stack}`));
  await page.setViewportSize(viewport);
  await page.addInitScript(init);
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.waitForTimeout(waitMs);
  if (then === "stop") {
    server.kill();
    await page.waitForTimeout(2_600);
  } else if (then === "kill") {
    await page.click("#kill");
    await page.waitForTimeout(350);
    await page.screenshot({ path: join(outdir, `${name}-at-once.png`) });
    await page.waitForTimeout(2_600);
  } else if (then === "join") {
    await page.click("#add-10");
    await page.waitForTimeout(700);
  } else if (then === "tip") {
    await page.locator(".node.you .mark").click({ force: true });
    await page.waitForTimeout(300);
  } else if (then === "direct") {
    await page.click("#relay");
    await page.waitForTimeout(1_800);
  }
  const size = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth, document.documentElement.scrollHeight]);
  if (size[0] > size[1]) console.log(`${name}: scrolls sideways, ${size[0]} > ${size[1]}`);
  await page.screenshot({ path: join(outdir, `${name}.png`), fullPage: true });
  console.log(`${name}: ${viewport.width}x${size[2]}`);
  await page.close();
  server.kill();
  await exited;
}
