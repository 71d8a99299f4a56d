// A make-believe mesh for working on the page: peers that join, find places, lose parents and move. It imitates what
// the page can see of the hub and nothing else; it proves nothing about the real one.

const FRAME_OVERHEAD = 90;
const EVENT_BYTES = 210;
const LOG_MAX = 2000;
const REPOS = ["tokio", "serde", "ripgrep", "hyper", "axum", "clap", "rayon", "quinn", "tracing", "bytes", "nom"];
const LANGUAGES = ["rust", "go", "python"];
const BRANCHES = ["main", "main", "main", "release/2.1", "fix/timeout-on-reconnect", "feature/incremental-indexing", "ci"];

export const NATIVE_MAX = 200;
export const RATE_MAX = 500;

/** Numbers from 0 to 1; the same for the same seed. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class World {
  constructor({ random = Math.random, rate = 20 } = {}) {
    this.random = random;
    this.rate = rate;
    this.peers = new Map();
    this.lastPeer = 0;
    this.seq = 0;
    this.epoch = Date.now();
    this.server = { events: 0, frames: 0, data_bytes: 0, control_bytes: 0, direct_data_bytes: 0, sessions: 0 };
    this.delivered = 0;
    this.due = 0;
    /** The newest events, for those who resume. */
    this.log = [];
    this.lastKill = -Infinity;
    this.isMeshOn = true;
    this.cards = [];
    this.liars = new Set();
    /** Until when. */
    this.frozen = new Map();
  }

  join(node, { relay = true } = {}) {
    const peer = ++this.lastPeer;
    this.peers.set(peer, {
      peer,
      parent: null,
      tier: 0,
      place: relay ? "waiting" : "direct",
      node: relay ? node : null,
      isNative: node === "native",
      children_max: !relay ? 0 : node === "native" ? 8 : 4,
      nextMs: relay ? Date.now() + 200 + this.random() * 900 : Infinity,
    });
    return peer;
  }

  leave(peer) {
    this.peers.delete(peer);
    for (const child of this.peers.values()) {
      if (child.parent !== peer) continue;
      Object.assign(child, { place: "orphan", nextMs: Date.now() + 120 + this.random() * 700 });
    }
  }

  natives() {
    return [...this.peers.values()].filter(({ isNative }) => isNative);
  }

  addNatives(count) {
    for (let index = 0; index < count; index++) this.join("native");
  }

  removeNatives(count) {
    for (const { peer } of this.natives().slice(this.natives().length - count)) this.leave(peer);
  }

  relays() {
    return this.natives().filter(({ peer }) => this.childrenOf(peer).length > 0);
  }

  /** Lets something go wrong; undefined if there is nobody to strike. Its figures are made up. */
  strike(fault, who) {
    const of = who === "1:tier1" ? this.natives().filter(({ tier }) => tier === 1) : who === "30%" ? this.natives() : this.relays();
    const count = fault === "restart-server" ? 0 : who === "30%" ? Math.round(of.length * 0.3) : 1;
    if (of.length < count) return undefined;
    const victims = [...of].sort(() => this.random() - 0.5).slice(0, count);
    const below = new Set(victims.flatMap(({ peer }) => [...this.below(peer)]));
    for (const { peer } of victims) {
      if (fault === "kill") this.leave(peer);
      if (fault === "lie") this.liars.add(peer);
      if (fault === "freeze") this.frozen.set(peer, Date.now() + 5_000);
    }
    this.lastKill = Date.now();
    this.addCard(fault, who, victims, below.size);
    return { victims: victims.map(({ peer }) => peer), below: below.size, native_peers: this.natives().length };
  }

  switchMesh(on) {
    this.isMeshOn = on;
    for (const peer of this.peers.values()) {
      Object.assign(peer, { place: "waiting", parent: null, tier: 0, nextMs: on ? Date.now() + 200 + this.random() * 900 : Infinity });
    }
    this.addCard(on ? "mesh-on" : "mesh-off", null, [], 0);
    return {};
  }

  addCard(fault, who, victims, below) {
    const tiers = {};
    for (const { tier } of victims) tiers[tier] = (tiers[tier] ?? 0) + 1;
    const all = this.natives().length;
    if (this.cards[0] !== undefined && Date.now() < this.cards[0].untilMs) this.cards[0].isCut = true;
    const untilMs = Date.now() + (fault === "freeze" ? 7_500 : 2_500);
    const stall = 40 + this.random() * 600;
    const lie = fault === "lie" ? "corrupt" : null;
    const number = (this.cards[0]?.number ?? 0) + 1;
    this.cards.unshift({ number, fault, who: who ?? null, lie, untilMs, isCut: false, unix_ms: Date.now(), victims: victims.length, tiers, below, all, stall });
    this.cards.splice(20);
  }

  incidents() {
    return this.cards.map(({ untilMs, isCut, tiers, below, all, stall, ...card }) => ({
      ...card,
      state: isCut ? "cut-short" : Date.now() < untilMs ? "recovering" : "over",
      victims_by_tier: tiers,
      stalls: { hit: below, hit_ms: { max: stall }, all, all_ms: { max: stall } },
      lost: 0,
      recovered_after_s: Date.now() < untilMs ? null : 2.5,
      server_away_s: card.fault === "restart-server" ? 0.03 : null,
      victims_without_children_after_s: card.fault === "lie" ? 1.2 : null,
      server_bytes_per_s: { before: 18_000, busiest: 31_000, after: 17_500 },
    }));
  }

  childrenOf(peer) {
    return [...this.peers.values()].filter(({ parent }) => parent === peer);
  }

  /** Lets those whose time has come take their next step. */
  settle(nowMs) {
    for (const peer of this.peers.values()) {
      if (peer.nextMs > nowMs) continue;
      if (peer.place === "waiting") Object.assign(peer, { place: "linking", nextMs: nowMs + 150 + this.random() * 500 });
      else this.place(peer);
    }
  }

  place(peer) {
    peer.nextMs = Infinity;
    const standing = [...this.peers.values()].filter(({ place }) => place === "root" || place === "child");
    const roots = standing.filter(({ place }) => place === "root").length;
    const below = this.below(peer.peer);
    const subtree = below.size;
    if (roots < Math.max(2, Math.round(this.peers.size ** 0.4)) && peer.isNative) {
      Object.assign(peer, { place: "root", parent: null, tier: 1 });
    } else {
      const free = standing
        .filter((other) => !below.has(other.peer) && other.peer !== peer.peer)
        .filter((other) => this.childrenOf(other.peer).length < other.children_max)
        .map((other) => ({ other, order: other.tier + this.random() * 0.9 }))
        .sort((a, b) => a.order - b.order);
      const parent = free[0]?.other;
      if (parent === undefined) Object.assign(peer, { place: "direct", parent: null, tier: 0 });
      else Object.assign(peer, { place: "child", parent: parent.peer, tier: parent.tier + 1 });
    }
    if (subtree > 0) this.retier(peer);
  }

  below(peer) {
    const found = new Set();
    const edge = [peer];
    while (edge.length > 0) {
      for (const child of this.childrenOf(edge.pop())) {
        if (!found.has(child.peer)) edge.push(child.peer);
        found.add(child.peer);
      }
    }
    return found;
  }

  retier(peer) {
    for (const child of this.childrenOf(peer.peer)) {
      child.tier = peer.tier + 1;
      this.retier(child);
    }
  }

  /** Publishes what is due after `passedMs`; returns the events. */
  publish(passedMs) {
    this.due += (this.rate * passedMs) / 1000;
    const count = Math.floor(this.due);
    this.due -= count;
    const all = [...this.peers.values()];
    const fed = all.filter(({ place }) => place !== "child").length;
    const bytes = count === 0 ? 0 : FRAME_OVERHEAD + count * EVENT_BYTES;
    this.server.sessions = all.length;
    this.server.events += count;
    this.server.frames += count > 0 ? 1 : 0;
    this.server.data_bytes += bytes * fed;
    this.server.direct_data_bytes += bytes * all.length;
    this.server.control_bytes += (all.length * 14 * passedMs) / 1000;
    this.delivered += count * this.natives().length;
    return Array.from({ length: count }, () => this.event());
  }

  event() {
    const pick = (list) => list[Math.floor(this.random() * list.length)];
    const repo = pick(REPOS);
    const dice = this.random();
    const status = dice < 0.45 ? "started" : dice < 0.93 ? "passed" : "failed";
    const seq = ++this.seq;
    const body = { build: 4000 + seq, repo, branch: pick(BRANCHES), status };
    if (status !== "started") body.duration_ms = Math.round(20_000 * Math.exp(this.random() * 3.2));
    const routing_key = `build.${pick(LANGUAGES)}.${status}`;
    const event = { offset: seq, routing_key, number: seq, sent_us: Date.now() * 1000, body };
    this.log.push(event);
    if (this.log.length > LOG_MAX) this.log.shift();
    return event;
  }

  state() {
    const wobble = 1 + 0.15 * Math.sin(Date.now() / 3000);
    const isShaken = Date.now() - this.lastKill < 1500;
    return {
      channel: "builds",
      rate_per_s: this.rate,
      rate_max_per_s: RATE_MAX,
      native_peers: this.natives().length,
      native_peers_max: NATIVE_MAX,
      relays: this.relays().length,
      tier1: this.natives().filter(({ tier }) => tier === 1).length,
      is_mesh_on: this.isMeshOn,
      killed: [],
      frozen: [...this.frozen].filter(([peer, untilMs]) => this.peers.has(peer) && Date.now() < untilMs).map(([peer]) => peer),
      liars: [...this.liars].filter((peer) => this.peers.has(peer)),
      incidents: this.incidents(),
      server: { ...this.server, control_bytes: Math.round(this.server.control_bytes) },
      swarm: {
        delivered: this.delivered,
        missing: 0,
        duplicates: 0,
        out_of_order: 0,
        latency_ms: this.natives().length === 0 ? { p50: null, p99: null } : { p50: 2.9 * wobble, p99: (isShaken ? 96 : 8.4) * wobble },
      },
    };
  }

  topology() {
    return {
      channel: "builds",
      peers: [...this.peers.values()].map(({ peer, parent, tier, place, node, children_max }) => ({
        peer,
        parent: place === "orphan" ? null : parent,
        tier,
        place,
        node,
        children: this.childrenOf(peer).length,
        children_max,
      })),
    };
  }
}
