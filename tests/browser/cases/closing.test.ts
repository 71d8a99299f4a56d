/** How a session ends, as a page sees it: clean and with the right code whenever somebody said Close. */
import assert from "node:assert/strict";
import test from "node:test";
import type { JSHandle, Page } from "playwright-core";
import { Chromium } from "../harness/chromium.js";
import { PageServer } from "../harness/page-server.js";
import { Server, type ServerOptions } from "../harness/server.js";

const TEST_MS = 300_000;

const SHUTDOWN = 3000;
const SILENT = 3001;
const DEPARTED = 3100;
const MALFORMED = 3500;
/** What a browser says of a close frame without a code, and of a connection that ended without a close frame. */
const NO_CODE = 1005;
const NO_CLOSE_FRAME = 1006;

interface Ending {
  readonly code: number;
  readonly wasClean: boolean;
}

/** A session without a word, in a page. */
type Session = JSHandle<{ readonly socket: WebSocket; readonly ended: Promise<Ending> }>;

function closing(name: string, options: ServerOptions, body: (server: Server, page: Page) => Promise<void>): void {
  test(name, { timeout: TEST_MS }, async () => {
    const server = await Server.start(options);
    const pages = await PageServer.start();
    const chromium = await Chromium.start("browser");
    try {
      const page = await chromium.context.newPage();
      await page.goto(pages.url);
      await body(server, page);
    } catch (error) {
      console.log(server.program.tail());
      throw error;
    } finally {
      await Promise.allSettled([server.stop(), pages.stop(), chromium.stop()]);
    }
  });
}

async function open(page: Page, server: Server): Promise<Session> {
  return page.evaluateHandle(async (url) => {
    const socket = new WebSocket(url, "tiercast.v1");
    const ended = new Promise<Ending>((resolve) => {
      socket.onclose = ({ code, wasClean }) => {
        resolve({ code, wasClean });
      };
    });
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => {
        reject(new Error("not opened"));
      };
    });
    return { socket, ended };
  }, server.ws);
}

async function ending(session: Session): Promise<Ending> {
  return session.evaluate(({ ended }) => ended);
}

closing("regression: a page that closes its session sees a clean end with its own code", {}, async (server, page) => {
  for (const [code, seen] of [
    [1000, 1000],
    [DEPARTED, DEPARTED],
    [undefined, NO_CODE],
  ] as const) {
    const session = await open(page, server);
    await session.evaluate(({ socket }, code) => {
      socket.close(code);
    }, code);
    assert.deepEqual(await ending(session), { code: seen, wasClean: true });
  }
});

closing("a page that is sent away sees a clean end with the server's code", {}, async (server, page) => {
  const rude = await open(page, server);
  await rude.evaluate(({ socket }) => {
    socket.send("text");
  });
  assert.deepEqual(await ending(rude), { code: MALFORMED, wasClean: true });

  const flooding = await open(page, server);
  await flooding.evaluate(({ socket }) => {
    for (let count = 0; count < 100; count++) socket.send("text".repeat(10_000));
  });
  // Not clean, as most of what the page has sent never leaves the browser; but not without the code.
  assert.equal((await ending(flooding)).code, MALFORMED);

  const session = await open(page, server);
  await server.stop("SIGTERM");
  assert.deepEqual(await ending(session), { code: SHUTDOWN, wasClean: true });
});

closing("a page that falls silent sees a clean end with the code for it", { set: { "hub.heartbeat_ms": 100 } }, async (server, page) => {
  assert.deepEqual(await ending(await open(page, server)), { code: SILENT, wasClean: true });
});

closing("a page whose server dies sees an end that is not clean", {}, async (server, page) => {
  const session = await open(page, server);
  await server.stop("SIGKILL");
  assert.deepEqual(await ending(session), { code: NO_CLOSE_FRAME, wasClean: false });
});
