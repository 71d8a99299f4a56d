/** A Chromium process of its own for pages that are no peers, steered by Playwright. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { Program } from "./program.js";

/** CHROMIUM names another one. */
export function chromiumPath(): string {
  return process.env["CHROMIUM"] ?? "/usr/bin/chromium";
}

export const CHROMIUM_ARGS: readonly string[] = [
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
  // Its sandbox refuses to work for root.
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
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

  static async start(name: string, flags: readonly string[] = []): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "tiercast-chromium-"));
    const program = new Program({
      name,
      command: chromiumPath(),
      args: [...CHROMIUM_ARGS, ...flags, `--user-data-dir=${profile}`, "about:blank"],
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

  async stop(): Promise<void> {
    await this.program.kill("SIGKILL");
    await this.browser.close().catch(() => undefined);
    // Helpers that have just been killed may still be writing.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
