/**
 * A third of the native relays is killed, again and again, in a mesh of native processes and three browsers: those who
 * live miss nothing and are given nothing twice. TIERCAST_KILLING=60x10@200 does it with 60 native peers, ten times, at 200
 * events a second, as `scripts/test long` does.
 */
import { type Stream, expectSame } from "../harness/stream.js";
import { type Stage, scenario } from "../harness/scenario.js";
import type { EventItem, Subscriber } from "../harness/subscriber.js";
import type { NativePeer } from "../harness/native-peer.js";
import type { TreeNode } from "../harness/server.js";
import { quantile, sorted, spread } from "../harness/spread.js";

const [NATIVES = 9, ROUNDS = 2, PER_S = 100] = (process.env["TIERCAST_KILLING"]?.match(/\d+/g) ?? []).map(Number);
/** Events between two rounds. */
const ROUND = 3 * PER_S;
const ENGINES = ["chromium", "chromium", "firefox"] as const;
const MAX_CHILDREN = 4;

scenario(
  `a third of the relays of ${NATIVES} native peers and ${ENGINES.length} browsers is killed, ${ROUNDS} times`,
  { tier1: 3 },
  async (stage) => {
    const starting = Array.from({ length: NATIVES }, async (_, index) => native(stage, index));
    const living = new Set(await Promise.all(starting));
    const browsers: Subscriber[] = [];
    for (const engine of ENGINES) browsers.push(await stage.browser({ engine, name: engine, maxChildren: MAX_CHILDREN }));
    await stage.server.untilTree("all have places", (peers) => peers.every(({ tier }) => tier > 0));

    const publishing = stage.stream.run(ROUND * (ROUNDS + 1), PER_S);
    const newcomers = new Set<NativePeer>();
    const incidents: Incident[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      await browsers[0]?.has(round * ROUND);
      const tree = await stage.server.topology();
      const victims = someRelays(tree, living);
      const hit = below(new Set(victims.map(({ peer }) => peer)), tree);
      const after = stage.stream.published.length;
      await Promise.all(victims.map(async (victim) => victim.kill()));
      for (const victim of victims) living.delete(victim);
      const survivors = [...living, ...browsers];
      incidents.push({ after, survivors, hit: survivors.filter(({ peer }) => hit.has(peer)) });
      for (const newcomer of await Promise.all(victims.map(async (_, index) => native(stage, round * 100 + index)))) {
        newcomers.add(newcomer);
        living.add(newcomer);
      }
    }
    await publishing;
    await stage.stream.expectAt(...[...living].filter((peer) => !newcomers.has(peer)), ...browsers);
    const last = stage.stream.published.at(-1)?.position;
    for (const peer of [...newcomers].filter((newcomer) => living.has(newcomer))) {
      await peer.untilNews("has the last event", () => peer.events.at(-1)?.position === last);
      const first = stage.stream.published.findIndex(({ position }) => position === peer.events[0]?.position);
      expectSame(peer.name, peer.events, stage.stream.published.slice(first));
    }
    report(stage.stream, incidents);
  },
);

async function native(stage: Stage, number: number): Promise<NativePeer> {
  return stage.native({ name: `native ${number}`, maxChildren: MAX_CHILDREN });
}

/** A third of those who have children. */
function someRelays(tree: readonly TreeNode[], living: ReadonlySet<NativePeer>): NativePeer[] {
  const relaying = new Set(tree.filter(({ children }) => children > 0).map(({ peer }) => peer));
  const relays = [...living].filter(({ peer }) => relaying.has(peer));
  return relays.filter((_, index) => index % 3 === 0);
}

/** All that are fed by way of these. */
function below(victims: ReadonlySet<number>, tree: readonly TreeNode[]): Set<number> {
  const hit = new Set<number>();
  for (let before = -1; hit.size > before; ) {
    before = hit.size;
    for (const { peer, parent } of tree) {
      if (parent !== null && (victims.has(parent) || hit.has(parent))) hit.add(peer);
    }
  }
  return hit;
}

/** Peers were killed after so many events had been published. */
interface Incident {
  readonly after: number;
  readonly survivors: readonly Subscriber[];
  readonly hit: readonly Subscriber[];
}

/** How much later than usual the latest event of each incident came. */
function report(stream: Stream, incidents: readonly Incident[]): void {
  const { published, sentMs } = stream;
  const sentAt = (index: number): number => sentMs.get(published[index]?.position ?? "") ?? Infinity;
  const lateMs = (event: EventItem): number => stream.lateMs(event);
  const survivors = incidents.at(-1)?.survivors ?? [];
  const all = sorted(survivors.flatMap(({ events }) => events.map(lateMs)));
  const usualMs = quantile(all, 0.5);
  const stalls = (of: "hit" | "survivors"): number[] =>
    incidents.flatMap((incident, index) => {
      const [from, to] = [sentAt(incident.after), sentAt(incidents[index + 1]?.after ?? published.length)];
      const within = ({ position }: EventItem): boolean => {
        const at = sentMs.get(position) ?? 0;
        return at >= from && at < to;
      };
      return incident[of].map(({ events }) => events.filter(within).reduce((max, event) => Math.max(max, lateMs(event)), 0));
    });
  console.log(`latency: ${spread(all)}`);
  for (const of of ["hit", "survivors"] as const) {
    const ms = sorted(stalls(of).map((stall) => Math.max(0, stall - usualMs)));
    console.log(`stalls of ${ms.length} ${of}: ${spread(ms)}`);
  }
}
