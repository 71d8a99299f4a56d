/** A test with everything it has started: stopped at its end, and described if it fails. */
import test from "node:test";
import { BrowserPeer, type BrowserOptions } from "./browser-peer.js";
import { type NativeOptions, NativePeer } from "./native-peer.js";
import { PageServer } from "./page-server.js";
import { Server, type ServerOptions } from "./server.js";
import { Stream } from "./stream.js";

/** Longest time for a whole test. */
const TEST_MS = 300_000;

export class Stage {
  readonly server: Server;
  readonly stream: Stream;
  readonly #pages: PageServer;
  readonly #natives: NativePeer[] = [];
  readonly #browsers: BrowserPeer[] = [];
  readonly #others: (() => Promise<void> | void)[] = [];

  private constructor(server: Server, pages: PageServer) {
    this.server = server;
    this.#pages = pages;
    this.stream = new Stream(server);
  }

  static async set(options: ServerOptions): Promise<Stage> {
    return new Stage(await Server.start(options), await PageServer.start());
  }

  get pageUrl(): string {
    return this.#pages.url;
  }

  /** Starts a native peer, and waits until the server has given it its subscription. */
  async native(options: NativeOptions = {}): Promise<NativePeer> {
    const peer = new NativePeer(this.server, options);
    this.#natives.push(peer);
    await peer.subscribed();
    return peer;
  }

  /** Starts a browser with a page that is a peer, and waits until the server has given it its subscription. */
  async browser(options: BrowserOptions = {}): Promise<BrowserPeer> {
    const peer = await BrowserPeer.start(this.server, this.#pages, options);
    this.#browsers.push(peer);
    await peer.subscribed();
    return peer;
  }

  /** To be done at the end. */
  atEnd(task: () => Promise<void> | void): void {
    this.#others.push(task);
  }

  /** No page had an error. */
  get pageErrors(): string[] {
    return this.#browsers.flatMap(({ name, errors }) => errors.map((error) => `${name}: ${error}`));
  }

  describe(): string {
    const peers = [...this.#natives, ...this.#browsers].map((peer) => peer.describe());
    return [this.server.program.tail(), ...peers].join("\n");
  }

  async end(): Promise<void> {
    const stops = [...this.#natives, ...this.#browsers, this.server, this.#pages].map((part) => part.stop());
    await Promise.allSettled([...this.#others.map(async (task) => task()), ...stops]);
  }
}

/** `options` may be asked for when the test begins. */
export function scenario(
  name: string,
  options: ServerOptions | (() => Promise<ServerOptions>),
  body: (stage: Stage) => Promise<void>,
): void {
  test(name, { timeout: TEST_MS }, async () => {
    const stage = await Stage.set(typeof options === "function" ? await options() : options);
    try {
      await body(stage);
      const errors = stage.pageErrors;
      if (errors.length > 0) throw new Error(`errors in pages: ${errors.join("\n")}`);
      if (process.env["VERBOSE"] !== undefined) console.log(`${name}\n${stage.describe()}`);
    } catch (error) {
      console.log(`${name}\n${stage.describe()}`);
      throw error;
    } finally {
      await stage.end();
    }
  });
}
