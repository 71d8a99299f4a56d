/** Makes frames and heads, as a server does: for tests only. */
import { getPublicKey, hashes, sign } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import {
  type Event,
  FRAME_HEADER_BYTES,
  Frame,
  Head,
  type Position,
  SIGNATURE_BYTES,
  channelId,
} from "../codec/index.js";
import { writeMsgpack } from "../codec/msgpack.js";

hashes.sha512 = sha512;

/** What a test says of an event. */
export type TestEvent = Pick<Event, "offset"> & Partial<Pick<Event, "routingKey" | "body">>;

/** Seals frames and signs heads of one channel. */
export class Sealer {
  readonly channel: string;
  readonly publicKey: Uint8Array;
  readonly #seed: Uint8Array;

  constructor(channel: string, seed: number) {
    this.channel = channel;
    this.#seed = new Uint8Array(32).fill(seed);
    this.publicKey = getPublicKey(this.#seed);
  }

  seal(before: Position, last: number, timeUs: number, events: readonly TestEvent[]): Frame {
    const payload = encodeEvents(before.offset, events);
    const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length + SIGNATURE_BYTES);
    const view = new DataView(bytes.buffer);
    bytes.set([0x01, 1, 0, 0]);
    view.setUint32(4, channelId(this.channel));
    view.setBigUint64(8, BigInt(before.epoch));
    view.setBigInt64(16, BigInt(before.offset));
    view.setBigInt64(24, BigInt(last));
    view.setBigUint64(32, BigInt(timeUs));
    view.setUint32(40, events.length);
    view.setUint32(44, payload.length);
    view.setUint32(48, payload.length);
    bytes.set(payload, FRAME_HEADER_BYTES);
    return Frame.take(this.#signed(bytes, Frame.take(bytes).signed(this.channel).message));
  }

  head(position: Position, timeUs: number): Head {
    const bytes = new Uint8Array(32 + SIGNATURE_BYTES);
    const view = new DataView(bytes.buffer);
    bytes.set([0x02, 1, 0, 0]);
    view.setUint32(4, channelId(this.channel));
    view.setBigUint64(8, BigInt(position.epoch));
    view.setBigInt64(16, BigInt(position.offset));
    view.setBigUint64(24, BigInt(timeUs));
    return Head.take(this.#signed(bytes, Head.take(bytes).signed(this.channel).message));
  }

  #signed(bytes: Uint8Array, message: Uint8Array): Uint8Array {
    bytes.set(sign(message, this.#seed), bytes.length - SIGNATURE_BYTES);
    return bytes;
  }
}

function encodeEvents(after: number, events: readonly TestEvent[]): Uint8Array {
  return writeMsgpack(
    events.map(({ offset, routingKey = "", body = new Uint8Array(0) }) => {
      return [offset - after, routingKey, "", null, null, null, {}, body];
    }),
  );
}
