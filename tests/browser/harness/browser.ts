/** A browser process of its own, Chromium or Firefox: headless, with its own profile, steered over its debugging port. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser as Connection, type Page } from "puppeteer-core";
import { CHROMIUM_ARGS, chromiumPath } from "./chromium.js";
import { Program } from "./program.js";

export type Engine = "chromium" | "firefox";

/** How one of them is started, and where it says that it can be spoken to. */
interface Launch {
  readonly command: string;
  readonly args: (profile: string) => readonly string[];
  readonly listening: RegExp;
  readonly connect: (endpoint: string) => Promise<Connection>;
}

/** What a Firefox has to be told so that links work on a host that has only loopback. */
const FIREFOX_PREFERENCES = {
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
};

const LAUNCHES: Readonly<Record<Engine, Launch>> = {
  chromium: {
    command: chromiumPath(),
    args: (profile) => [...CHROMIUM_ARGS, `--user-data-dir=${profile}`, "about:blank"],
    listening: /DevTools listening on (ws:\S+)/,
    connect: (endpoint) => puppeteer.connect({ browserWSEndpoint: endpoint, defaultViewport: null }),
  },
  firefox: {
    command: process.env["FIREFOX"] ?? "/usr/bin/firefox-esr",
    args: (profile) => {
      const lines = Object.entries(FIREFOX_PREFERENCES).map(([name, value]) => `user_pref("${name}", ${value});\n`);
      writeFileSync(join(profile, "user.js"), lines.join(""));
      return ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", profile, "about:blank"];
    },
    listening: /WebDriver BiDi listening on (ws:\S+)/,
    connect: (endpoint) =>
      puppeteer.connect({
        browserWSEndpoint: `${endpoint}/session`,
        protocol: "webDriverBiDi",
        defaultViewport: null,
      }),
  },
};

export class Browser {
  readonly program: Program;
  readonly #connection: Connection;
  readonly #profile: string;

  private constructor(program: Program, connection: Connection, profile: string) {
    this.program = program;
    this.#connection = connection;
    this.#profile = profile;
  }

  /** CHROMIUM and FIREFOX name others. */
  static async start(engine: Engine, name: string, flags: readonly string[] = []): Promise<Browser> {
    const { command, args, listening, connect } = LAUNCHES[engine];
    const profile = mkdtempSync(join(tmpdir(), `tiercast-${engine}-`));
    const program = new Program({ name, command, args: [...flags, ...args(profile)] });
    const [, endpoint = ""] = await program.line(listening);
    return new Browser(program, await connect(endpoint), profile);
  }

  /** A new tab, in front of the others. */
  async newPage(): Promise<Page> {
    return this.#connection.newPage();
  }

  /** Processes that run pages; of a Chromium. */
  async rendererPids(): Promise<number[]> {
    const session = await this.#connection.target().createCDPSession();
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    await session.detach();
    return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  }

  async stop(): Promise<void> {
    await this.program.kill("SIGKILL");
    await this.#connection.disconnect().catch(() => undefined);
    // Helpers that have just been killed may still be writing.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
