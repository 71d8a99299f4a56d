import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { verifyEd25519 } from "../testing/crypto.js";
import { type BytesJson, bytesOf, readVectors } from "../testing/vectors.js";
import { ChannelNameError, channelId, parseChannelName } from "./channel.js";
import { Code, codeName, mayReconnect } from "./code.js";
import { ToHub, ToPeer } from "./control.js";
import { DecodeError, UnknownMessageError } from "./error.js";
import { EventNameError, eventName } from "./event-name.js";
import type { HeaderTable, HeaderValue } from "./event.js";
import { Frame } from "./frame.js";
import { Head } from "./head.js";
import { chunks, mayBeLost, readItems } from "./item.js";
import { LinkMessage } from "./link-message.js";
import type { MessageFamily } from "./message.js";
import { type Nack, encodeNack } from "./nack.js";
import { type Position, PositionError, formatPosition, parsePosition, parseSince } from "./position.js";
import type { SignedMessage } from "./signature.js";

type HeaderJson =
  | { type: "null" | "bool"; value: null | boolean }
  | { type: "int" | "float" | "text"; value: string }
  | { type: "bytes"; value: BytesJson }
  | { type: "list"; value: HeaderJson[] }
  | { type: "map"; value: Record<string, HeaderJson> };

interface EventJson {
  offset: number;
  routing_key: string;
  exchange: string;
  content_type: string | null;
  message_id: string | null;
  timestamp: string | null;
  headers: Record<string, HeaderJson>;
  body: BytesJson;
}

interface Case {
  name: string;
  bytes: BytesJson;
}

interface Signed extends Case {
  channel: string;
  public_key: string;
}

type ReaderKind = "item" | "frame_events" | "to_hub" | "to_peer" | "link";

const families = { to_hub: ToHub, to_peer: ToPeer, link: LinkMessage };

function integer(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

function headerValue(json: HeaderJson): HeaderValue {
  switch (json.type) {
    case "null":
    case "bool":
      return json.value;
    case "int":
      return integer(json.value);
    case "float":
      return Buffer.from(json.value, "hex").readDoubleBE();
    case "text":
      return json.value;
    case "bytes":
      return bytesOf(json.value);
    case "list":
      return json.value.map(headerValue);
    case "map":
      return headerTable(json.value);
  }
}

function headerTable(json: Record<string, HeaderJson>): HeaderTable {
  const table = Object.create(null) as Record<string, HeaderValue>;
  for (const [key, value] of Object.entries(json)) table[key] = headerValue(value);
  return table;
}

function expectedEvent(json: EventJson): unknown {
  return {
    offset: json.offset,
    routingKey: json.routing_key,
    exchange: json.exchange,
    contentType: json.content_type ?? undefined,
    messageId: json.message_id ?? undefined,
    timestamp: json.timestamp === null ? undefined : integer(json.timestamp),
    headers: headerTable(json.headers),
    body: bytesOf(json.body),
  };
}

/** A message as the program has it, from its JSON form. */
function messageOf(json: Record<string, unknown>): unknown {
  const bytes = (hex: unknown): Uint8Array => bytesOf(hex as string);
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => {
      // In `hello` a map, in `welcome` a token.
      if (key === "token" || (key === "resume" && typeof value === "string")) return [key, bytes(value)];
      if (key === "resume") return [key, messageOf(value as Record<string, unknown>)];
      if (key === "links") return [key, (value as Record<string, unknown>[]).map(messageOf)];
      if (key === "keys") return [key, (value as unknown[]).map(bytes)];
      if (key === "since") return [key, parseSince(value as string)];
      return [key, value];
    }),
  );
}

function verifies({ public_key: key }: Signed, { message, signature }: SignedMessage): boolean {
  return verifyEd25519(bytesOf(key), message, signature);
}

function readAs(kind: ReaderKind, bytes: Uint8Array): unknown {
  if (kind === "item") return readItems(bytes);
  if (kind === "frame_events") return Frame.take(bytes).events();
  return families[kind].decode(bytes);
}

function assertRefused(run: () => unknown, reason: string, id?: number | null): void {
  assert.throws(run, (error: unknown) => {
    if (!(error instanceof DecodeError)) throw error;
    assert.equal(error.reason, reason);
    if (error instanceof UnknownMessageError) assert.equal(error.id ?? null, id);
    return true;
  });
}

describe("frames.json", () => {
  for (const vector of readVectors("frames.json") as (Signed & { header: Record<string, unknown>; events: EventJson[] })[]) {
    test(vector.name, () => {
      const frame = Frame.take(bytesOf(vector.bytes));
      const { channel, eventCount, inflatedBytes, payloadBytes, timeUs, ...header } = frame.header;
      assert.deepEqual(
        {
          ...header,
          channel_id: channel,
          event_count: eventCount,
          inflated_bytes: inflatedBytes,
          payload_bytes: payloadBytes,
          time_us: timeUs,
        },
        vector.header,
      );
      assert.deepEqual(frame.events(), vector.events.map(expectedEvent));
      assert.ok(verifies(vector, frame.signed(vector.channel)));
    });
  }
});

describe("heads.json", () => {
  type HeadCase = Signed & Position & { channel_id: number; time_us: number };
  for (const vector of readVectors("heads.json") as HeadCase[]) {
    test(vector.name, () => {
      const head = Head.take(bytesOf(vector.bytes));
      assert.equal(head.channel, vector.channel_id);
      assert.deepEqual(head.position, { epoch: vector.epoch, offset: vector.offset });
      assert.equal(head.timeUs, vector.time_us);
      assert.ok(verifies(vector, head.signed(vector.channel)));
    });
  }
});

describe("nacks.json", () => {
  for (const { name, bytes, ...nack } of readVectors("nacks.json") as (Case & Nack)[]) {
    test(name, () => {
      assert.deepEqual(readItems(bytesOf(bytes)), [{ kind: "nack", nack }]);
      assert.deepEqual(encodeNack(nack), bytesOf(bytes));
    });
  }
});

describe("names.json", () => {
  type NameCase = Record<"name" | "thing" | "id" | "what", string> & Record<"routing_key" | "error", string | null>;
  for (const vector of readVectors("names.json") as NameCase[]) {
    test(vector.name, () => {
      const made = (): string => eventName(vector.thing, vector.id, vector.what);
      if (vector.error === null) assert.equal(made(), vector.routing_key);
      else assert.throws(made, (error) => error instanceof EventNameError && error.reason === vector.error);
    });
  }

  test("numbers are ids as long as they are whole", () => {
    assert.equal(eventName("ticket", 1234, "updated"), "ticket.1234.updated");
    assert.equal(eventName("ticket", 2n ** 64n, "updated"), "ticket.18446744073709551616.updated");
    for (const id of [1.5, NaN, Infinity, 2 ** 53]) {
      assert.throws(() => eventName("ticket", id, "updated"), /the id .* is no integer: give a text or a bigint/);
    }
  });
});

describe("lossy.json", () => {
  for (const { name, bytes, ...vector } of readVectors("lossy.json") as (Case & { may_be_lost: boolean })[]) {
    test(name, () => {
      assert.equal(mayBeLost(bytesOf(bytes)), vector.may_be_lost);
    });
  }
});

describe("chunks.json", () => {
  for (const vector of readVectors("chunks.json") as { name: string; frame: BytesJson; chunks: BytesJson[] }[]) {
    test(vector.name, () => {
      const frame = bytesOf(vector.frame);
      const expected = vector.chunks.map(bytesOf);
      assert.deepEqual(chunks(frame), expected);
      const parts = expected.flatMap(readItems).map((item, index) => {
        assert.ok(item.kind === "chunk");
        assert.equal(item.isLast, index === expected.length - 1);
        return item.part;
      });
      assert.deepEqual(new Uint8Array(Buffer.concat(parts)), frame);
    });
  }
});

describe("messages.json", () => {
  type MessageCase = Case & { family: keyof typeof families; canonical: boolean; message: Record<string, unknown> };
  for (const vector of readVectors("messages.json") as MessageCase[]) {
    test(vector.name, () => {
      const family = families[vector.family] as MessageFamily<unknown>;
      const bytes = bytesOf(vector.bytes);
      const message = messageOf(vector.message);
      assert.deepEqual(family.decode(bytes), message);
      if (vector.canonical) assert.deepEqual(family.encode(message), bytes);
    });
  }
});

describe("signatures.json", () => {
  for (const vector of readVectors("signatures.json") as (Signed & { kind: "frame" | "head"; error: string })[]) {
    test(vector.name, () => {
      assertRefused(() => {
        const [item, ...rest] = readItems(bytesOf(vector.bytes));
        assert.equal(rest.length, 0);
        const signed =
          item?.kind === "frame"
            ? item.frame.signed(vector.channel)
            : item?.kind === "head"
              ? item.head.signed(vector.channel)
              : undefined;
        assert.ok(signed !== undefined);
        if (!verifies(vector, signed)) throw new DecodeError("bad_signature", "");
      }, vector.error);
    });
  }
});

describe("limits.json", () => {
  type LimitCase = Signed & { kind: ReaderKind; event_count?: number; body_bytes?: number };
  for (const vector of readVectors("limits.json") as LimitCase[]) {
    test(vector.name, () => {
      const bytes = bytesOf(vector.bytes);
      readAs(vector.kind, bytes);
      if (vector.kind !== "frame_events") return;
      const frame = Frame.take(bytes);
      assert.ok(verifies(vector, frame.signed(vector.channel)));
      const events = frame.events();
      assert.equal(events.length, vector.event_count);
      assert.equal(
        events.reduce((sum, event) => sum + event.body.length, 0),
        vector.body_bytes,
      );
    });
  }
});

describe("malformed.json", () => {
  for (const vector of readVectors("malformed.json") as (Case & { kind: ReaderKind; error: string; id?: number | null })[]) {
    test(vector.name, () => {
      assertRefused(() => readAs(vector.kind, bytesOf(vector.bytes)), vector.error, vector.id);
    });
  }
});

describe("positions.json", () => {
  type PositionCase = { name: string; text: string } & (
    | { kind: "position"; position: Position }
    | { kind: "since" | "invalid" }
  );
  for (const vector of readVectors("positions.json") as PositionCase[]) {
    test(vector.name, () => {
      const { text } = vector;
      if (vector.kind === "position") {
        assert.deepEqual(parsePosition(text), vector.position);
        assert.equal(formatPosition(vector.position), text);
      } else {
        assert.throws(() => parsePosition(text), PositionError);
        if (vector.kind === "since") assert.equal(parseSince(text), text);
        else assert.throws(() => parseSince(text), PositionError);
      }
    });
  }
});

describe("channels.json", () => {
  type ChannelCase = { name: string; text: string; valid: boolean; channel_id: number };
  for (const vector of readVectors("channels.json") as ChannelCase[]) {
    test(vector.name, () => {
      if (vector.valid) assert.equal(channelId(parseChannelName(vector.text)), vector.channel_id);
      else assert.throws(() => parseChannelName(vector.text), ChannelNameError);
    });
  }
});

test("codes.json", () => {
  const cases = readVectors("codes.json") as { name: string; code: number; may_reconnect: boolean }[];
  assert.deepEqual(Object.fromEntries(cases.map(({ name, code }) => [name, code])), { ...Code });
  for (const { name, code, may_reconnect } of cases) {
    assert.equal(codeName(code), name);
    assert.equal(mayReconnect(code), may_reconnect);
  }
});
