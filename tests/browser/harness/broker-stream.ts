/** A stream of events that is published to a broker while something happens, and what of it is in the broker. */
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import type { ConsumeMessage } from "amqplib";
import { withConnection } from "./broker.js";
import { ask } from "./changing.js";
import type { AmqpSource, Message, Published } from "./server.js";
import { epochOf, expectSame, sample } from "./stream.js";
import type { Subscriber } from "./subscriber.js";

/** Events that are published at once, and how long that takes at least. */
const WINDOW = 50;
const WINDOW_MS = 50;
/** Longest time for the confirms of a window. A broker that has just started may owe some forever. */
const CONFIRM_MS = 5_000;

export class BrokerStream {
  /** All that has got through, in the order in which it was published at first. */
  readonly published: Message[] = [];
  readonly #source: AmqpSource;
  readonly #keys: readonly string[];
  #made = 0;

  /** Events have these routing keys, one after the other. */
  constructor(source: AmqpSource, keys: readonly string[] = ["build.linux.passed"]) {
    this.#source = source;
    this.#keys = keys;
  }

  /** Publishes `count` events, each until it has got through. */
  async run(count: number): Promise<void> {
    const end = this.published.length + count;
    while (this.published.length < end) await this.#window(Math.min(WINDOW, end - this.published.length));
  }

  /** Publishes for as long as something takes. */
  async runDuring(happening: Promise<void>): Promise<void> {
    let isOver = false;
    const over = happening.finally(() => {
      isOver = true;
    });
    const publish = async (): Promise<void> => {
      while (!isOver) await Promise.all([this.#window(WINDOW), setTimeout(WINDOW_MS)]);
    };
    await Promise.all([publish(), over]);
  }

  /** Publishes `count` events once, while nobody takes them. */
  async runInVain(count: number): Promise<void> {
    await this.#attempt(this.#make(count));
  }

  /** Waits until everybody has exactly what is in the broker's stream, and checks that this is all that was published. */
  async expectAt(...subscribers: readonly Subscriber[]): Promise<void> {
    await this.expectWanted(() => true, ...subscribers);
  }

  /** Likewise, of what each wants; positions are offsets only. */
  async expectWanted(
    isWanted: (subscriber: Subscriber, event: Published) => boolean,
    ...subscribers: readonly Subscriber[]
  ): Promise<void> {
    const inBroker = await this.#read();
    const ids = new Set(inBroker.map(({ messageId }) => messageId));
    assert.deepEqual(this.published.filter(({ messageId }) => !ids.has(messageId)), [], "the broker has lost events");
    for (const subscriber of subscribers) {
      const wanted = inBroker.filter((event) => isWanted(subscriber, event));
      await subscriber.has(wanted.length);
      assert.deepEqual(subscriber.gaps, [], `${subscriber.name} has gaps`);
      const epoch = epochOf(subscribers[0]?.events[0]);
      const expected = wanted.map((event) => ({ ...event, position: `${epoch}-${event.position}` }));
      expectSame(subscriber.name, subscriber.events, expected);
    }
  }

  async #window(count: number): Promise<void> {
    const messages = this.#make(count);
    let left: Message[] = messages;
    await ask("all is published", async () => {
      left = await this.#attempt(left);
      return left.length === 0;
    });
    this.published.push(...messages);
  }

  /**
   * Publishes once: mandatory, and with confirms. Gives back, in order, what is not known to have got through; it may
   * be in the broker nevertheless.
   */
  async #attempt(messages: readonly Message[]): Promise<Message[]> {
    const through = new Set<Message>();
    const { url, channel } = this.#source;
    const publishing = withConnection(url, async (connection) => {
      const line = await connection.createConfirmChannel();
      line.on("error", () => undefined);
      const returned = new Set<unknown>();
      // Comes before the confirm.
      line.on("return", ({ properties }: ConsumeMessage) => returned.add(properties.messageId));
      const confirms = messages.map(
        async (message) =>
          new Promise<void>((resolve) => {
            const { routingKey = "", messageId = "", body } = message;
            line.publish(channel, routingKey, body, { mandatory: true, messageId }, (error: unknown) => {
              if (error === null && !returned.has(messageId)) through.add(message);
              resolve();
            });
          }),
      );
      await Promise.race([Promise.all(confirms), setTimeout(CONFIRM_MS, undefined, { ref: false })]);
    });
    // That the broker is down is the subject of a test.
    await publishing.catch(() => undefined);
    return messages.filter((message) => !through.has(message));
  }

  #make(count: number): Message[] {
    return Array.from({ length: count }, () => {
      const number = this.#made++;
      const routingKey = this.#keys[number % this.#keys.length] ?? "";
      return { ...sample(number), routingKey, messageId: String(number) };
    });
  }

  /** What the broker's stream holds, up to an event that is published now. Positions are offsets only. */
  async #read(): Promise<Published[]> {
    await this.run(1);
    const last = this.published.at(-1)?.messageId;
    const { url, channel } = this.#source;
    const stream = `tiercast.${channel}`;
    return withConnection(url, async (connection) => {
      const line = await connection.createChannel();
      await line.prefetch(WINDOW);
      return new Promise((resolve, reject) => {
        connection.once("close", () => {
          reject(new Error("the broker has closed the connection"));
        });
        const found: Published[] = [];
        const take = (delivery: ConsumeMessage | null): void => {
          if (delivery === null) {
            reject(new Error("the broker has ended the consumer"));
            return;
          }
          line.ack(delivery);
          const { fields, properties, content } = delivery;
          // A mark of a server is no event.
          if (fields.exchange === stream) return;
          const { "x-stream-offset": offset } = properties.headers as { "x-stream-offset": number };
          const messageId = properties.messageId as string;
          found.push({ position: String(offset), routingKey: fields.routingKey, messageId, body: content });
          if (messageId === last) resolve(found);
        };
        line.consume(stream, take, { arguments: { "x-stream-offset": "first" } }).catch(reject);
      });
    });
  }
}
