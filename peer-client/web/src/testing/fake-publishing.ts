/** A played batch endpoint over real HTTP: events are numbered, an id is published once, and requests go wrong as told. */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A request goes wrong: published but not answered, not answered at all, or answered with a status and nothing else. */
export type Mischief = "lose_answer" | "silence" | number;

interface Item {
  readonly routing_key: string;
  readonly message_id: string;
}

export class FakePublishing {
  /** What each request had. */
  readonly batches: Item[][] = [];
  /** What was published, in order. */
  readonly published: Item[] = [];
  readonly #mischief: Mischief[];
  readonly #server: Server;

  private constructor(mischief: readonly Mischief[]) {
    this.#mischief = [...mischief];
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** Does these things with the first requests, one each. A routing key that begins with `bad` is refused. */
  static async start(...mischief: readonly Mischief[]): Promise<FakePublishing> {
    const fake = new FakePublishing(mischief);
    await new Promise<void>((resolve) => fake.#server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Whether no mischief is left. */
  get isContent(): boolean {
    return this.#mischief.length === 0;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
    const items = JSON.parse(text) as Item[];
    this.batches.push(items);
    const mischief = this.#mischief.shift();
    if (mischief === "silence") return;
    if (typeof mischief === "number") return void response.writeHead(mischief).end();
    const refused = this.#refusal(request, items);
    if (refused !== undefined) {
      const [status, error] = refused;
      return void response.writeHead(status).end(JSON.stringify({ error, fix: "do it well", code: 3506 }));
    }
    const events = items.map((item) => ({ position: `7-${this.#publish(item)}`, duplicate: false }));
    if (mischief === "lose_answer") response.destroy();
    else response.end(JSON.stringify({ events }));
  }

  #refusal({ url, headers }: IncomingMessage, items: readonly Item[]): [number, string] | undefined {
    if (headers.authorization !== "Bearer key") return [403, "this key is unknown"];
    if (url !== "/v1/publish/tickets/batch") return [404, `there is no ${url ?? ""}`];
    const bad = items.find((item) => item.routing_key.startsWith("bad"));
    return bad && [400, `${bad.routing_key} is bad`];
  }

  #publish(item: Item): number {
    const known = this.published.findIndex((other) => other.message_id === item.message_id);
    return known < 0 ? this.published.push(item) - 1 : known;
  }
}
