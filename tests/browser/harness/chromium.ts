/** A Chromium process of its own: headless, with its own profile, steered over its debugging port. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { Program } from "./program.js";

const FLAGS = [
  "--headless=new",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-crash-reporter",
  "--remote-debugging-port=0",
  // Headless pages are all in the foreground for their users, but not for Chromium.
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
  // On a host that has only loopback, links need both; elsewhere they change nothing that matters here.
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

export class Chromium {
  readonly program: Program;
  readonly browser: Browser;
  readonly #profile: string;

  private constructor(program: Program, browser: Browser, profile: string) {
    this.program = program;
    this.browser = browser;
    this.#profile = profile;
  }

  /** CHROMIUM names another browser. */
  static async start(name: string, flags: readonly string[] = []): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "tiercast-chromium-"));
    // Its sandbox refuses to work for root.
    const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const program = new Program({
      name,
      command: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: [...FLAGS, ...sandbox, ...flags, `--user-data-dir=${profile}`, "about:blank"],
    });
    const [, endpoint = ""] = await program.line(/DevTools listening on (ws:\S+)/);
    return new Chromium(program, await chromium.connectOverCDP(endpoint), profile);
  }

  /** The context of the profile itself. */
  get context(): BrowserContext {
    const [context] = this.browser.contexts();
    if (context === undefined) throw new Error("the browser has no context");
    return context;
  }

  /** Processes that run pages. */
  async rendererPids(): Promise<number[]> {
    const session = await this.browser.newBrowserCDPSession();
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    await session.detach();
    return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  }

  async stop(): Promise<void> {
    await this.program.kill("SIGKILL");
    await this.browser.close().catch(() => undefined);
    // Helpers that have just been killed may still be writing.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
