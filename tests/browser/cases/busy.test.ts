/**
 * A page that is busy with something else seven tenths of its time, at 500 events a second: what a Web Worker takes off its main
 * thread. A measurement: `TIERCAST_MEASURE=1 npm test -- busy` prints the table of `docs/measurements.md`.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Page } from "puppeteer-core";
import { Browser } from "../harness/browser.js";
import { Stage } from "../harness/scenario.js";

const WARM_UP_MS = 1_000;
const MEASURED_MS = 10_000;
/** So many events in one request, as often as this. */
const BATCH = 5;
const BATCH_MS = 10;
/** Of each while, the page takes so much for itself. */
const BUSY = { everyMs: 50, forMs: 35 };

/** Its pages are no secure context, so that there is no WebCrypto: a library checks signatures. */
const INSECURE_HOST = "tiercast.test";

interface Figures {
  readonly webCrypto: boolean;
  readonly worker: boolean;
  /** Processor time of the page's main thread beside its own work, for each event. */
  readonly mainUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What the page has measured. */
declare global {
  var delaysMs: number[];
}

test("a busy page, with and without a worker", { skip: process.env["TIERCAST_MEASURE"] === undefined }, async () => {
  const stage = await Stage.set({});
  const browser = await Browser.start("chromium", "chromium", [`--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`]);
  try {
    const figures: Figures[] = [];
    for (const webCrypto of [true, false]) {
      for (const worker of [false, true]) figures.push(await measure(stage, browser, webCrypto, worker));
    }
    console.table(figures);
  } finally {
    await browser.stop();
    await stage.end();
  }
});

async function measure(stage: Stage, browser: Browser, webCrypto: boolean, worker: boolean): Promise<Figures> {
  const page = await browser.newPage();
  await page.goto(webCrypto ? stage.pageUrl : stage.pageUrl.replace("127.0.0.1", INSECURE_HOST));
  assert.equal(await page.evaluate(() => globalThis.isSecureContext), webCrypto);
  await page.evaluate(open, stage.server.ws, stage.server.channel, worker, BUSY);
  const warm = await publishFor(stage, page, WARM_UP_MS, 0);
  await page.tracing.start({ categories: ["disabled-by-default-devtools.timeline", "toplevel", "blink.user_timing"] });
  const delaysMs = await publishFor(stage, page, MEASURED_MS, warm.length);
  const trace = Buffer.from((await page.tracing.stop()) ?? []).toString();
  await page.close();
  delaysMs.sort((a, b) => a - b);
  const part = (share: number): number => Math.round(delaysMs[Math.floor(delaysMs.length * share)] ?? NaN);
  const mainUs = Math.round(mainThreadUs(trace) / delaysMs.length);
  return { webCrypto, worker, mainUs, p50Ms: part(0.5), p99Ms: part(0.99) };
}

/** Runs in the page. */
async function open(url: string, channel: string, worker: boolean, busy: typeof BUSY): Promise<void> {
  const { connect } = await import("tiercast-peer");
  globalThis.delaysMs = [];
  const subscription = connect(url, { worker, relay: "never" }).subscribe(channel);
  subscription.on("event", ({ sealedUs }) => {
    globalThis.delaysMs.push(performance.timeOrigin + performance.now() - sealedUs / 1_000);
  });
  await new Promise((resolve) => subscription.on("status", resolve));
  setInterval(() => {
    performance.mark("busy");
    const end = performance.now() + busy.forMs;
    while (performance.now() < end);
  }, busy.everyMs);
}

/** Gives the delays of the events that were published, once the page has all of them after `before` others. */
async function publishFor({ server }: Stage, page: Page, durationMs: number, before: number): Promise<number[]> {
  const start = performance.now();
  for (let dueMs = 0; dueMs < durationMs; dueMs += BATCH_MS) {
    const waitMs = start + dueMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    await server.publishBatch(Array.from({ length: BATCH }, (_, at) => sampleJson(dueMs + at)));
  }
  const count = before + (durationMs * BATCH) / BATCH_MS;
  await page.waitForFunction((least) => globalThis.delaysMs.length >= least, {}, count);
  const delaysMs = await page.evaluate(() => globalThis.delaysMs);
  assert.equal(delaysMs.length, count);
  return delaysMs.slice(before);
}

/** An event of 600 B as a build system's are. */
function sampleJson(number: number): object {
  const id = (): string => crypto.randomUUID();
  return {
    routing_key: `primary.task-${number}.completed.build`,
    headers: { traceparent: id() },
    json: {
      status: { taskId: id(), state: "completed", runs: [{ runId: 0, workerId: id() }] },
      task: { tags: { kind: "build", project: "tiercast", createdForUser: "somebody@example.org" } },
      artifacts: Array.from({ length: 4 }, (_, at) => ({ name: `public/logs/${at}.log`, size: at * 4_711 })),
    },
  };
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** What the tasks of the main thread took of the processor, but for those of the page's own work. */
function mainThreadUs(trace: string): number {
  const { traceEvents } = JSON.parse(trace) as { readonly traceEvents: readonly TraceEvent[] };
  const marks = traceEvents.filter(({ name }) => name === "busy");
  const [{ pid, tid } = { pid: 0, tid: 0 }] = marks;
  const tasks = traceEvents.filter((event) => event.name.endsWith("RunTask") && event.pid === pid && event.tid === tid);
  const isOwn = ({ ts, dur = 0 }: TraceEvent): boolean => marks.some((mark) => mark.ts >= ts && mark.ts <= ts + dur);
  return tasks.filter((task) => !isOwn(task)).reduce((sum, { tdur = 0 }) => sum + tdur, 0);
}
