/** Events that are numbered in their bodies, published around a server that is killed when a third of them has come. */
import { ask } from "./changing.js";
import type { Stage } from "./scenario.js";

const EVENTS = 90;

/** The bodies that everybody is to be given, in order, each once. */
export const BODIES: readonly string[] = Array.from({ length: EVENTS }, (_, number) => `body ${number}`);

/** Publishes all of them; `count` says how many have come. */
export async function publishAroundAKill({ server }: Stage, count: () => number | Promise<number>): Promise<void> {
  const publish = async (bodies: readonly string[]): Promise<void> => {
    for (const body of bodies) await server.publish({ body: Buffer.from(body) });
  };
  const until = (least: number): Promise<true> => ask(`${least} events`, async () => (await count()) >= least);
  const third = EVENTS / 3;
  await publish(BODIES.slice(0, third));
  await until(third);
  await server.stop("SIGKILL");
  await server.startAgain();
  await publish(BODIES.slice(third));
  await until(EVENTS);
}

/** The bodies in what a program has written of events as JSON. */
export function bodiesIn(lines: readonly string[]): string[] {
  return [...lines.join("\n").matchAll(/"body":"(body \d+)"/g)].map(([, body]) => body ?? "");
}
