/** `tiercast-demo` as a process, and its page in a browser. */
import type { BrowserContextOptions, Page } from "playwright-core";
import { ask } from "./changing.js";
import { Chromium } from "./chromium.js";
import { Program, binary } from "./program.js";
import type { TreeNode } from "./server.js";

/** What the page is asked about again and again; it renders by itself. */
const WAIT_MS = 60_000;

export class Demo {
  readonly chromium: Chromium;
  /** What went wrong in pages. */
  readonly errors: string[] = [];
  #program: Program;
  readonly #args: readonly string[];
  readonly #address: string;
  /** A demo that is down is the subject of a test. */
  #isDown = false;

  private constructor(program: Program, address: string, args: readonly string[], chromium: Chromium) {
    this.#program = program;
    this.#address = address;
    this.#args = args;
    this.chromium = chromium;
  }

  static async start(...args: readonly string[]): Promise<Demo> {
    const program = launch("127.0.0.1:0", args);
    const address = await addressOf(program);
    return new Demo(program, address, args, await Chromium.start("demo browser"));
  }

  get program(): Program {
    return this.#program;
  }

  get url(): string {
    return `http://${this.#address}`;
  }

  async open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.chromium.browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    page.on("pageerror", (error) => this.errors.push(error.stack ?? error.message));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !this.#isDown) this.errors.push(message.text());
    });
    await page.goto(this.url);
    return page;
  }

  async kill(): Promise<void> {
    this.#isDown = true;
    await this.#program.kill("SIGKILL");
  }

  async startAgain(): Promise<void> {
    this.#program = launch(this.#address, this.#args);
    await addressOf(this.#program);
  }

  /** The server behind the page is about to be away: the browser reports requests that it refuses. */
  expectRefusals(): void {
    this.#isDown = true;
  }

  /** The browser reports failed requests late: called once nothing is refused any more. */
  isUpAgain(): void {
    this.#isDown = false;
  }

  async topology(): Promise<TreeNode[]> {
    const response = await fetch(`${this.url}/v1/topology/builds`);
    return ((await response.json()) as { peers: TreeNode[] }).peers;
  }

  async untilTree<T>(what: string, condition: (peers: readonly TreeNode[]) => T | undefined | false): Promise<T> {
    let peers: TreeNode[] = [];
    return ask(
      what,
      async () => {
        peers = await this.topology();
        return condition(peers);
      },
      () => JSON.stringify(peers),
    );
  }

  async state(): Promise<{ rate_per_s: number; native_peers: number; swarm: { missing: number; duplicates: number } }> {
    const response = await fetch(`${this.url}/demo/state`);
    return (await response.json()) as Awaited<ReturnType<Demo["state"]>>;
  }

  async stop(): Promise<void> {
    await Promise.allSettled([this.#program.kill("SIGKILL"), this.chromium.stop()]);
  }
}

function launch(listen: string, args: readonly string[]): Program {
  return new Program({
    name: "tiercast-demo",
    command: binary("tiercast-demo"),
    args: ["--listen", listen, ...args],
  });
}

async function addressOf(program: Program): Promise<string> {
  const [, address] = await program.line(/http:\/\/([\d.]+:\d+)\//, "stdout");
  if (address === undefined) throw new Error("the demo did not say where it listens");
  return address;
}

/** Waits until an element's text matches. */
export async function untilText(page: Page, selector: string, pattern: RegExp): Promise<RegExpMatchArray> {
  let text = "";
  return ask(
    `${selector} says ${pattern.source}`,
    async () => {
      text = (await page.locator(selector).textContent()) ?? "";
      return text.match(pattern) ?? undefined;
    },
    () => `but "${text}"`,
  );
}

/** A number as the page writes it, with whatever it puts between thousands. */
export async function numberIn(page: Page, selector: string): Promise<number> {
  const text = (await page.locator(selector).textContent()) ?? "";
  return Number(text.replace(/[^\d.]/g, ""));
}

/** Peers that the page shows, those that are on their way out not counted. */
export async function shownPeers(page: Page): Promise<number[]> {
  return page.locator("#tree .node:not(.leaving)").evaluateAll((nodes) =>
    nodes.map((node) => Number(node.getAttribute("data-peer"))).sort((a, b) => a - b),
  );
}
