/** A card: what became of an incident, as the demo has measured it, and how that reads. */
import { formatBytes, formatMs, formatSeconds, plural } from "./format.js";
import type { Fields } from "./json.js";

const FAULTS = ["kill", "freeze", "withhold", "lie", "restart-server", "mesh-on", "mesh-off"] as const;
const LIES = ["withhold", "corrupt", "replay", "stall", "accuse"] as const;
const STATES = ["recovering", "over", "cut-short"] as const;

export type Fault = (typeof FAULTS)[number];
export type Lie = (typeof LIES)[number];

export interface Card {
  readonly number: number;
  readonly atMs: number;
  readonly fault: Fault;
  /** How many of whom, as the command line says it: `30%`, `1:tier1`. */
  readonly who: string | undefined;
  readonly lie: Lie | undefined;
  /** `cut-short`: the next began before it was over. */
  readonly state: (typeof STATES)[number];
  /** Those who were struck, by tier; 0: fed by the server for the time being. */
  readonly victims: number;
  readonly victimsByTier: readonly { readonly tier: number; readonly count: number }[];
  /** Those who were fed by way of them, and lived. */
  readonly below: number;
  /** Those who lived through it. */
  readonly survivors: number;
  readonly longestStallMs: number;
  readonly lost: number;
  /** Bytes that the server sent in a second: before, in the busiest, and in the last of it. */
  readonly before: number;
  readonly busiest: number;
  readonly after: number;
  readonly serverAwayS: number | undefined;
  readonly childlessAfterS: number | undefined;
}

/** Throws a ShapeError. */
export function parseCard(card: Fields): Card {
  const stalls = card.object("stalls");
  const egress = card.object("server_bytes_per_s");
  return {
    number: card.number("number"),
    atMs: card.number("unix_ms"),
    fault: card.word("fault", FAULTS),
    who: card.stringOrNull("who"),
    lie: card.wordOrNull("lie", LIES),
    state: card.word("state", STATES),
    victims: card.number("victims"),
    victimsByTier: card.object("victims_by_tier").numbers().map(([tier, count]) => ({ tier: Number(tier), count })),
    below: stalls.number("hit"),
    survivors: stalls.number("all"),
    longestStallMs: stalls.object("all_ms").number("max"),
    lost: card.number("lost"),
    before: egress.number("before"),
    busiest: egress.number("busiest"),
    after: egress.number("after"),
    serverAwayS: card.numberOrNull("server_away_s"),
    childlessAfterS: card.numberOrNull("victims_without_children_after_s"),
  };
}

/** What was done. */
export function titleOf({ fault, who }: Card): string {
  switch (fault) {
    case "kill":
      return `Killed ${whomText(who)}`;
    case "freeze":
      return `Froze ${whomText(who)}`;
    case "withhold":
    case "lie":
      return `Made ${whomText(who)} lie`;
    case "restart-server":
      return "Restarted the server";
    case "mesh-on":
      return "Switched the mesh on";
    case "mesh-off":
      return "Switched the mesh off";
  }
}

function whomText(who: string | undefined): string {
  const [, amount = "1", kind = "peers"] = /^([\d.]+%?)(?::(\w+))?$/.exec(who ?? "1:relays") ?? [];
  const one = { peers: "peer", relays: "relay", tier1: "tier-1 peer" }[kind] ?? "peer";
  if (amount.endsWith("%")) return `${amount.slice(0, -1)}\u202f% of the ${one}s`;
  return amount === "1" ? `a ${one}` : plural(Number(amount), one);
}

/** Who was hit. */
export function hitText({ victims, victimsByTier, below, survivors, fault }: Card): string {
  switch (fault) {
    case "restart-server":
      return `All ${plural(survivors, "native peer")} lost their session; links between peers stay.`;
    case "mesh-off":
      return `All ${plural(survivors, "native peer")} are fed by the server alone.`;
    case "mesh-on":
      return `All ${plural(survivors, "native peer")} may relay again.`;
    case "kill":
    case "freeze":
    case "withhold":
    case "lie": {
      const others = below === 0 ? "no native peer was fed by way of them" : `${plural(below, "other")} fed by way of them`;
      return `${tiersText(victims, victimsByTier)}; ${victims === 1 ? others.replace("them", "it") : others}.`;
    }
  }
}

function tiersText(victims: number, byTier: Card["victimsByTier"]): string {
  const inTier = (tier: number): string => (tier === 0 ? "without a tier" : `in tier ${tier}`);
  const [first] = byTier;
  if (byTier.length === 1 && first !== undefined) return `${plural(victims, "peer")} ${inTier(first.tier)}`;
  const each = byTier.map(({ tier, count }) => `${count} ${inTier(tier)}`);
  return each.length === 0 ? plural(victims, "peer") : `${plural(victims, "peer")}: ${each.join(", ")}`;
}

/** What a liar does. */
export function lieText({ fault, lie }: Card): string | undefined {
  switch (fault === "withhold" ? "withhold" : lie) {
    case "withhold":
      return "It answers pings and passes on no event.";
    case "corrupt":
      return "It changes a bit in one message of ten.";
    case "replay":
      return "It sends old messages in the place of new ones.";
    case "stall":
      return "It sends for a second, then nothing for three.";
    case "accuse":
      return "It tells the server that all its neighbours forge.";
    case undefined:
      return undefined;
  }
}

/** How far it is. */
export function stateText(card: Card): string {
  const { state, serverAwayS, childlessAfterS } = card;
  if (state === "recovering") return "still recovering…";
  const parts = [state === "over" ? "recovered" : "measured until the next one"];
  if (serverAwayS !== undefined) parts.push(`server away for ${formatStall(serverAwayS * 1000)}`);
  if (lieText(card) !== undefined && childlessAfterS !== undefined) {
    parts.push(`without children after ${formatSeconds(childlessAfterS)}`);
  }
  return parts.join(", ");
}

export function stallText({ longestStallMs, survivors }: Card): string {
  return survivors === 0 ? "–" : formatStall(longestStallMs);
}

export function lostText({ lost }: Card): string {
  return plural(lost, "event");
}

/** Before, busiest and, once it is over, after. */
export function egressText({ before, busiest, after, state }: Card): string {
  const figures = state === "over" ? [before, busiest, after] : [before, busiest];
  return figures.map(formatBytes).join(" → ");
}

function formatStall(ms: number): string {
  return ms < 1_000 ? `${formatMs(ms)}\u202fms` : formatSeconds(ms / 1000);
}
