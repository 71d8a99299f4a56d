// Runs in the page. "first" is the first call after the page was loaded, "then" the fastest of 30 batches after a
// warm-up: what other work on the machine disturbs least.
import { decode, encode } from "@msgpack/msgpack";
import { unzlibSync, zlibSync } from "fflate";
import { Packr, Unpackr } from "msgpackr/index-no-eval";
import { ToPeer } from "../src/codec/control.js";
import { inflate } from "../src/codec/inflate.js";
import { readMsgpack, writeMsgpack } from "../src/codec/msgpack.js";
import { decodeEvents } from "../src/codec/payload.js";
import { libraryVerifier, webCryptoVerifier } from "../src/io/verifier.js";

type Row = { operation: string; candidate: string; first: number; then: number };
const rows: Row[] = [];
const LIMITS = { depth: 19, arrayLength: Infinity };

async function measure(operation: string, candidate: string, run: () => unknown): Promise<void> {
  const start = performance.now();
  await run();
  const first = (performance.now() - start) * 1000;
  const times: number[] = [];
  const isAsync = run() instanceof Promise;
  for (let batch = 0; batch < 40; batch++) {
    const calls = batch < 10 ? 50 : 200;
    const begin = performance.now();
    for (let call = 0; call < calls; call++) {
      if (isAsync) await run();
      else run();
    }
    if (batch >= 10) times.push(((performance.now() - begin) * 1000) / calls);
  }
  rows.push({ operation, candidate, first, then: Math.min(...times) });
}

function events(count: number): Uint8Array {
  const rest = (number: number): unknown[] => [
    `primary.task-${number}.completed.build`,
    "exchange/queue/v1/task-completed",
    "application/json",
    null,
    1_790_000_000 + number,
    { traceparent: crypto.randomUUID() },
    new TextEncoder().encode(
      JSON.stringify({
        status: { taskId: crypto.randomUUID(), state: "completed", runs: [{ runId: 0, workerId: crypto.randomUUID() }] },
        task: { tags: { kind: "build", project: "tiercast", createdForUser: "somebody@example.org" } },
        artifacts: Array.from({ length: 4 }, (_, at) => ({ name: `public/logs/${at}.log`, size: at * 4711 })),
      }),
    ),
  ];
  return encode(Array.from({ length: count }, (_, at) => [at + 1, ...rest(at)]));
}

async function decompress(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function compareInflate(): Promise<void> {
  for (const count of [1, 10, 100]) {
    const plain = events(count);
    const deflated = zlibSync(plain);
    const operation = `inflate ${count} event${count > 1 ? "s" : ""}, ${deflated.length} -> ${plain.length} B`;
    await measure(operation, "pako, as used", () => inflate(deflated, plain.length));
    await measure(operation, "fflate, no checksum", () => unzlibSync(deflated, { out: new Uint8Array(plain.length) }));
    await measure(operation, "DecompressionStream", () => decompress(deflated));
  }
}

async function compareMsgpack(): Promise<void> {
  const unpackr = new Unpackr({ useRecords: false, int64AsType: "auto" });
  for (const count of [1, 10, 100]) {
    const plain = events(count);
    const operation = `decode ${count} event${count > 1 ? "s" : ""}, ${plain.length} B`;
    const range = { after: 0, last: 1_000, eventCount: count };
    await measure(operation, "@msgpack/msgpack", () => decode(plain, { useBigInt64: true }));
    await measure(operation, "@msgpack/msgpack, as used", () => readMsgpack(plain, LIMITS));
    await measure(operation, "@msgpack/msgpack, as checked events", () => decodeEvents(plain, range));
    await measure(operation, "msgpackr (no eval)", () => unpackr.unpack(plain));
  }
  const message = {
    type: "assign" as const,
    channel: "builds",
    link: 4711,
    parent: 815,
    token: crypto.getRandomValues(new Uint8Array(16)),
    offers: true,
    standby: false,
  };
  const packr = new Packr({ useRecords: false });
  const bytes = ToPeer.encode(message);
  await measure("encode `assign`", "@msgpack/msgpack, as used", () => writeMsgpack(message));
  await measure("encode `assign`", "@msgpack/msgpack, by schema", () => ToPeer.encode(message));
  await measure("encode `assign`", "msgpackr (no eval)", () => packr.pack(message));
  await measure("decode `assign`", "@msgpack/msgpack", () => decode(bytes));
  await measure("decode `assign`", "@msgpack/msgpack, as used", () => readMsgpack(bytes, LIMITS));
  await measure("decode `assign`", "@msgpack/msgpack, by schema", () => ToPeer.decode(bytes));
  await measure("decode `assign`", "msgpackr (no eval)", () => unpackr.unpack(bytes));
}

async function compareVerify(): Promise<void> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const key = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const message = crypto.getRandomValues(new Uint8Array(700));
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message));
  for (const [name, verify] of [
    ["WebCrypto", webCryptoVerifier()],
    ["noble", await libraryVerifier()],
  ] as const) {
    if (!(await verify(key, message, signature))) throw new Error(`${name} does not verify`);
    await measure("verify 700 B", name, () => verify(key, message, signature));
  }
}

await compareInflate();
await compareMsgpack();
await compareVerify();
await (globalThis as unknown as { report(value: unknown): Promise<unknown> }).report({ agent: navigator.userAgent, rows });
