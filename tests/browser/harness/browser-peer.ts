/** A page that is a peer, in a browser process of its own. */
import type { Page } from "puppeteer-core";
import type { ClientStats, Relaying } from "tiercast-peer";
import type { PageMessage, PageOptions } from "../page/messages.js";
import { Browser, type Engine } from "./browser.js";
import type { PageServer } from "./page-server.js";
import { sinceStart } from "./program.js";
import type { Server } from "./server.js";
import { Subscriber } from "./subscriber.js";

/** Lines kept for the report of a failure. */
const TAIL_LINES = 60;

/** A server that is down is the subject of some tests: Chromium's words, and Firefox's. */
const CONNECTION_FAILED =
  /WebSocket connection to .* failed|establish a connection to the server at ws:|The connection to ws:.* was interrupted/;

export interface BrowserOptions {
  /** Default: Chromium. */
  readonly engine?: Engine;
  readonly name?: string;
  /** Where the page finds servers. Default: the server of the stage. */
  readonly urls?: readonly string[];
  readonly maxChildren?: number;
  readonly maxConnections?: number;
  readonly relay?: Relaying;
  /** Default 1 s: a tenth of the page's own. */
  readonly hiddenAfterMs?: number;
  readonly since?: string;
  /** Patterns. Default: everything. */
  readonly match?: readonly string[];
  readonly worker?: boolean;
  /** Further flags of the browser. */
  readonly flags?: readonly string[];
  /** A script that runs in the page before any other. */
  readonly before?: string;
}

export class BrowserPeer extends Subscriber {
  readonly browser: Browser;
  readonly page: Page;
  /** What went wrong in the page. */
  readonly errors: string[] = [];
  readonly #tail: string[] = [];

  private constructor(name: string, browser: Browser, page: Page) {
    super(name);
    this.browser = browser;
    this.page = page;
  }

  static async start(server: Server, pages: PageServer, options: BrowserOptions): Promise<BrowserPeer> {
    const { engine = "chromium", name = engine, urls = [server.ws], flags = [], before, ...others } = options;
    const browser = await Browser.start(engine, name, flags);
    const page = await browser.newPage();
    const peer = new BrowserPeer(name, browser, page);
    const fail = (text: string): void => {
      if (!CONNECTION_FAILED.test(text)) peer.errors.push(text);
    };
    page.on("pageerror", (error) => {
      fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
      peer.changed();
    });
    page.on("console", (message) => {
      if (message.type() === "error") fail(message.text());
    });
    await page.exposeFunction("tellTest", (messages: string) => {
      for (const message of JSON.parse(messages) as PageMessage[]) peer.#take(message);
      peer.changed();
    });
    if (before !== undefined) await page.evaluateOnNewDocument(before);
    await page.goto(pages.url);
    await page.waitForFunction(() => "tiercastPage" in globalThis);
    const { since = "now", match = ["#"], ...connecting } = { maxChildren: 4, hiddenAfterMs: 1_000, ...others };
    const settings: PageOptions = { urls, channel: server.channel, since, match, connecting };
    await page.evaluate((given) => {
      globalThis.tiercastPage.open(given);
    }, settings);
    return peer;
  }

  async stats(): Promise<ClientStats> {
    return this.page.evaluate(() => globalThis.tiercastPage.client().stats());
  }

  /** Changes what the application wants, or whether it is given anything; gives the offset after which this counts. */
  async change(change: "bind" | "unbind" | "pause" | "resume", pattern = ""): Promise<number> {
    const position = await this.page.evaluate(
      (name, given) => {
        const subscription = globalThis.tiercastPage.subscription();
        const { position } = subscription;
        subscription[name](given);
        return position;
      },
      change,
      pattern,
    );
    if (position === undefined) throw new Error(`${this.name} is not subscribed yet`);
    return position.offset;
  }

  /** The tab is closed, as by its user. */
  async closeTab(): Promise<void> {
    await this.page.close();
  }

  /** The process that runs the page is killed. */
  async killRenderer(): Promise<void> {
    for (const pid of await this.browser.rendererPids()) process.kill(pid, "SIGKILL");
  }

  /** The whole browser is killed. */
  async kill(): Promise<void> {
    await this.browser.program.kill("SIGKILL");
  }

  override async stop(): Promise<void> {
    await this.browser.stop();
  }

  override describe(): string {
    const state = `    ${this.events.length} events, gaps ${JSON.stringify(this.gaps)}`;
    return [`--- ${this.name} (browser)`, ...this.#tail.slice(-TAIL_LINES), ...this.errors, state].join("\n");
  }

  #take(message: PageMessage): void {
    if (message.kind !== "event") this.#tail.push(`${sinceStart()} ${JSON.stringify(message)}`);
    switch (message.kind) {
      case "event": {
        const { contentType, messageId, timestamp, body, ...rest } = message;
        this.items.push({
          ...rest,
          atMs: performance.now(),
          contentType: contentType ?? undefined,
          messageId: messageId ?? undefined,
          timestamp: timestamp ?? undefined,
          body: Buffer.from(body, "base64"),
        });
        break;
      }
      case "gap":
        this.items.push(message);
        break;
      case "parent":
        this.news.push({ kind: "parent", parent: message.parent ?? undefined });
        break;
      case "connected":
      case "disconnected":
      case "subscribed":
      case "placed":
      case "children":
      case "link_lost":
        this.news.push(message);
        break;
    }
  }
}
