/** A cluster of three RabbitMQ nodes, whose nodes can be killed. */
import { declareExchange } from "./broker.js";
import { Program, binary } from "./program.js";
import { type AmqpSource, Server } from "./server.js";

/** Longest time for all of its nodes to start, on a machine that is busy with something else. */
const START_MS = 240_000;

export class Cluster {
  readonly #program: Program;
  readonly #urls: readonly string[];
  #asked = 0;

  private constructor(program: Program, urls: readonly string[]) {
    this.#program = program;
    this.#urls = urls;
  }

  static async start(): Promise<Cluster> {
    const program = new Program({ name: "cluster", command: binary("examples/cluster"), args: [], isTold: true });
    const [urls] = await program.line(/^\[.*\]$/, "stdout", START_MS);
    return new Cluster(program, JSON.parse(urls) as string[]);
  }

  /** A node, from 0 on. */
  url(node: number): string {
    const url = this.#urls[node];
    if (url === undefined) throw new Error(`there is no node ${node}`);
    return url;
  }

  /** A channel for a server, which is connected to node 0 at first. Its exchange and stream are made here; `leader` leads that. */
  async source(channel: string, leader: number): Promise<AmqpSource> {
    const url = this.url(leader);
    await declareExchange(url, channel);
    const maker = await Server.start({ amqp: { url, channel, mode: "stream" } });
    await maker.stop();
    return { url: this.#urls.join(), channel, mode: "stream" };
  }

  async kill(node: number): Promise<void> {
    await this.#ask(`kill ${node}`);
  }

  async startAgain(node: number): Promise<void> {
    await this.#ask(`start ${node}`);
  }

  /** The node that leads the stream of a channel. */
  async leader(channel: string): Promise<number> {
    return Number(await this.#ask(`leader 1 tiercast.${channel}`));
  }

  async end(): Promise<void> {
    await this.#program.finish();
  }

  async #ask(what: string): Promise<string> {
    const nth = ++this.#asked;
    this.#program.tell(what);
    const [, answer = ""] = await this.#program.line(new RegExp(`^${nth}: (.*)$`), "stdout", START_MS);
    return answer;
  }
}
