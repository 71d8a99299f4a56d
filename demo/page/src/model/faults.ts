/** The buttons that let something go wrong: what each asks for, and why it may not be possible now. */
import type { DemoState } from "./demo-state.js";

export interface FaultButton {
  /** Of its button. */
  readonly id: string;
  readonly fault: string;
  /** How many of whom, as `experiment --help` says. */
  readonly who: string | undefined;
  /** While it is asked for. */
  readonly doing: string;
}

export const FAULTS: readonly FaultButton[] = [
  { id: "kill", fault: "kill", who: "1:relays", doing: "Killing a relay…" },
  { id: "kill-tier1", fault: "kill", who: "1:tier1", doing: "Killing a tier-1 peer…" },
  { id: "kill-share", fault: "kill", who: "30%", doing: "Killing 30\u202f% of the peers…" },
  { id: "freeze", fault: "freeze", who: "1:relays", doing: "Freezing a relay…" },
  { id: "lie", fault: "lie", who: "1:relays", doing: "Making a relay lie…" },
  { id: "restart", fault: "restart-server", who: undefined, doing: "Restarting the server…" },
];

/** Why a fault cannot be had now; undefined if it can. */
export function whyNot({ fault, who }: FaultButton, state: DemoState): string | undefined {
  if (fault === "restart-server") return whyNoSwitch(state);
  if (state.nativePeers === 0) return "There are no native peers: add some first.";
  if (who === "1:relays" && state.relays === 0) {
    return state.isMeshOn ? "No native peer relays yet." : "Nobody relays while the mesh is off.";
  }
  if (who === "1:tier1" && state.tier1 === 0) {
    return state.isMeshOn ? "No native peer is in tier 1 yet." : "There are no tiers while the mesh is off.";
  }
  return undefined;
}

/** Why neither server nor mesh can be switched now. */
export function whyNoSwitch({ frozen }: DemoState): string | undefined {
  return frozen.length > 0 ? "Somebody is frozen: wait until they run again." : undefined;
}
