/**
 * Draws the fan and keeps it moving: peers that come grow out of their feeder, those that move glide, those that go
 * shrink, those that were killed flash first.
 */
import { arrange, descendants, pathToServer } from "../model/arrange.js";
import { placeLabel } from "../model/label.js";
import { type Layout, type Point, type Size, type Spot, layOut, linkCurve, pointOn } from "../model/layout.js";
import type { Marked } from "../model/demo-state.js";
import type { PeerInfo } from "../model/topology.js";
import { byId, svg, wantsLittleMotion } from "./dom.js";
import { describePeer } from "./peer-text.js";
import { type NodeKey, type Pose, type Sprite, drawNode, ease, isClose, lerp, makeServer, makeYouLabel, mix } from "./sprite.js";

const GLIDE_MS = 650;
const LEAVE_MS = 420;
const PULSE_MS = 900;
/** No more than one pulse in this time, whatever the rate. */
const PULSE_EVERY_MS = 700;
/** Tiers beyond this one share its colour. */
const TIER_COLOURS = 5;

export interface TreeHandlers {
  /** A node is pointed at, or not any more. `isPinned`: it was clicked or chosen by key. */
  onSelect(key: NodeKey | undefined, at: Point, isPinned: boolean): void;
}

export class TreeView {
  readonly #root = byId("tree", SVGSVGElement);
  readonly #arcs = svg("g", { class: "arcs", "aria-hidden": "true" });
  readonly #stageLine = svg("path", { class: "stage-line", "aria-hidden": "true" });
  readonly #links = svg("g", { class: "links", "aria-hidden": "true" });
  readonly #pulses = svg("g", { class: "pulses", "aria-hidden": "true" });
  readonly #nodes = svg("g", { class: "nodes", role: "tree", "aria-label": "Who feeds whom" });
  readonly #server = makeServer();
  readonly #sprites = new Map<number, Sprite>();
  readonly #killed = new Set<number>();
  #frozen: ReadonlySet<number> = new Set();
  #liars: ReadonlySet<number> = new Set();
  /** Whom each peer was last fed by. Forgets those that are no longer drawn. */
  readonly #memory = new Map<number, number | undefined>();
  readonly #handlers: TreeHandlers;
  #size: Size = { width: 0, height: 0 };
  #peers: readonly PeerInfo[] = [];
  #you: number | undefined;
  #serverAt: Point = { x: 0, y: 0 };
  #frame: number | undefined;
  /** The one node that Tab leads to. */
  #current: NodeKey = "server";
  #selected: NodeKey | undefined;
  #isPinned = false;
  #lastPulseMs = 0;

  constructor(handlers: TreeHandlers) {
    this.#handlers = handlers;
    this.#nodes.append(this.#server);
    this.#root.append(this.#arcs, this.#stageLine, this.#links, this.#pulses, this.#nodes);
    new ResizeObserver(() => {
      this.#onResize();
    }).observe(this.#root);
    this.#listen();
  }

  update(peers: readonly PeerInfo[], you: number | undefined): void {
    this.#peers = peers;
    this.#you = you;
    for (const { peer, parent, place } of peers) {
      if (place === "root" || (place === "child" && parent !== undefined)) this.#memory.set(peer, parent);
    }
    this.#place(false);
  }

  /** A peer was killed: it is marked at once, and flashes. */
  kill(peer: number): void {
    if (this.#killed.has(peer)) return;
    this.#killed.add(peer);
    const sprite = this.#sprites.get(peer);
    if (sprite === undefined) return;
    sprite.group.classList.add("killed");
    if (wantsLittleMotion()) return;
    const ripple = svg("circle", { class: "ripple", r: sprite.now.radius + 2 });
    sprite.group.prepend(ripple);
    ripple.addEventListener("animationend", () => {
      ripple.remove();
    });
  }

  /** Those that were killed, are frozen or lie look it from the next update on. */
  mark({ killed, frozen, liars }: Marked): void {
    for (const peer of killed) this.kill(peer);
    this.#frozen = new Set(frozen);
    this.#liars = new Set(liars);
  }

  /** An event came: a light runs down our own branch. */
  pulse(nowMs: number): void {
    if (this.#you === undefined || wantsLittleMotion() || document.hidden) return;
    if (nowMs - this.#lastPulseMs < PULSE_EVERY_MS) return;
    const path = this.#pathToYou().reverse();
    if (path.length === 0) return;
    this.#lastPulseMs = nowMs;
    const dot = svg("circle", { class: "pulse", r: 3 });
    const run = (): void => {
      const done = (performance.now() - nowMs) / PULSE_MS;
      const leg = Math.max(0, done) * path.length;
      const sprite = this.#sprites.get(path[Math.floor(leg)] ?? -1);
      if (done >= 1 || sprite === undefined) {
        dot.remove();
        return;
      }
      const at = pointOn(this.#curveOf(sprite), leg % 1);
      dot.setAttribute("cx", at.x.toFixed(1));
      dot.setAttribute("cy", at.y.toFixed(1));
      // Not before it has a place: it would lie in the corner for a frame.
      if (!dot.isConnected) this.#pulses.append(dot);
      requestAnimationFrame(run);
    };
    run();
  }

  /** Lets go of a pinned node. */
  deselect(): void {
    this.#select(undefined, false);
  }

  #onResize(): void {
    const { clientWidth: width, clientHeight: height } = this.#root;
    if (width === this.#size.width && height === this.#size.height) return;
    this.#size = { width, height };
    this.#root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#place(true);
  }

  #place(isInstant: boolean): void {
    if (this.#size.width === 0) return;
    const layout = layOut(arrange(this.#peers, this.#memory), this.#size);
    this.#serverAt = layout.server;
    this.#server.setAttribute("transform", `translate(${layout.server.x} ${layout.server.y})`);
    this.#drawArcs(layout);
    const nowMs = performance.now();
    const jumps = isInstant || wantsLittleMotion();
    const seen = new Set<number>();
    for (const spot of layout.spots) {
      seen.add(spot.peer);
      const to: Pose = { x: spot.x, y: spot.y, radius: spot.radius, scale: 1 };
      const known = this.#sprites.get(spot.peer);
      // Of one that died before it was ever drawn there is nothing to show.
      const sprite = spot.info === undefined ? known : (known ?? this.#make(spot.info, layout, to));
      if (sprite === undefined) continue;
      sprite.where = spot.where;
      if (spot.info === undefined) sprite.group.classList.add("killed", "ghost");
      else this.#dress(sprite, spot.info);
      this.#attach(sprite, spot.feeder ?? "server");
      sprite.link.classList.toggle("cut", isCut(spot, this.#sprites));
      sprite.label = spot.peer === this.#you ? placeLabel(spot, layout.spots, layout.server, this.#size) : undefined;
      this.#head(sprite, to, nowMs, jumps ? 0 : GLIDE_MS);
    }
    for (const [peer, sprite] of this.#sprites) {
      if (seen.has(peer) || sprite.isLeaving) continue;
      sprite.isLeaving = true;
      sprite.group.classList.add("leaving");
      this.#head(sprite, { ...sprite.now, scale: 0 }, nowMs, jumps ? 0 : LEAVE_MS);
    }
    for (const peer of this.#memory.keys()) if (!this.#sprites.has(peer)) this.#memory.delete(peer);
    if (this.#current !== "server" && !seen.has(this.#current)) this.#moveTab("server");
    if (this.#selected !== undefined && this.#selected !== "server" && !seen.has(this.#selected)) this.deselect();
    this.#light();
    this.#frame ??= requestAnimationFrame(this.#step);
  }

  #make(info: PeerInfo, layout: Layout, to: Pose): Sprite {
    const group = svg("g", { role: "treeitem", tabindex: -1, "data-peer": info.peer });
    const mark = svg("circle");
    group.append(mark);
    const link = svg("path", { class: "link" });
    this.#links.append(link);
    // Below our own, whose name lies on others where they are many.
    this.#nodes.insertBefore(group, this.#ownGroup() ?? null);
    const feeder = info.parent === undefined ? undefined : this.#sprites.get(info.parent);
    const born: Pose = { ...(feeder?.now ?? layout.server), radius: to.radius, scale: 0 };
    const sprite: Sprite = {
      group,
      link,
      mark,
      info,
      where: "fan",
      label: undefined,
      now: born,
      from: born,
      to: born,
      startMs: 0,
      forMs: 0,
      feeder: info.parent ?? "server",
      oldEnd: undefined,
      isLeaving: false,
    };
    this.#sprites.set(info.peer, sprite);
    return sprite;
  }

  /** Gives a sprite the looks of its peer. */
  #dress(sprite: Sprite, info: PeerInfo): void {
    sprite.info = info;
    const isYou = info.peer === this.#you;
    const isFed = info.place === "root" || info.place === "child";
    const classes = ["node", isFed ? `t${Math.min(TIER_COLOURS, Math.max(1, info.tier))}` : info.place];
    if (isYou) classes.push("you");
    if (this.#frozen.has(info.peer)) classes.push("frozen");
    if (this.#liars.has(info.peer)) classes.push("liar");
    if (this.#killed.has(info.peer)) classes.push("killed");
    if (sprite.isLeaving) sprite.isLeaving = false;
    const wanted = info.node === "browser" ? "rect" : "circle";
    if (sprite.mark.tagName !== wanted) {
      const mark = svg(wanted);
      sprite.mark.replaceWith(mark);
      sprite.mark = mark;
    }
    sprite.mark.setAttribute("class", "mark");
    const className = classes.join(" ");
    if (sprite.group.getAttribute("class") !== className) sprite.group.setAttribute("class", className);
    sprite.link.setAttribute("class", `link ${classes.slice(1).join(" ")}`);
    sprite.group.setAttribute("aria-label", describePeer(info, isYou));
    sprite.group.setAttribute("aria-level", String(Math.max(1, info.tier) + 1));
    this.#label(sprite, isYou);
  }

  #label(sprite: Sprite, isYou: boolean): void {
    const old = sprite.group.querySelector(".you-mark");
    if (!isYou) {
      old?.remove();
      return;
    }
    if (old !== null) return;
    sprite.group.append(makeYouLabel(), svg("circle", { class: "you-ring you-mark" }));
    this.#nodes.append(sprite.group);
  }

  #attach(sprite: Sprite, feeder: NodeKey): void {
    if (sprite.feeder !== feeder) {
      sprite.oldEnd = this.#positionOf(sprite.feeder);
      sprite.feeder = feeder;
      // The end of the link has to glide, even if the peer itself stays.
      sprite.from = sprite.now;
      sprite.startMs = performance.now();
      sprite.forMs = wantsLittleMotion() ? 0 : GLIDE_MS;
    }
    sprite.link.dataset["feeder"] = String(feeder);
    sprite.link.style.display = sprite.where === "stage" ? "none" : "";
  }

  /** Sends a sprite somewhere, unless it is on its way there. */
  #head(sprite: Sprite, to: Pose, nowMs: number, forMs: number): void {
    if (isClose(sprite.to, to) && forMs > 0) {
      sprite.to = to;
      return;
    }
    sprite.from = sprite.now;
    sprite.to = to;
    sprite.startMs = nowMs;
    sprite.forMs = forMs;
  }

  readonly #step = (): void => {
    this.#frame = undefined;
    const nowMs = performance.now();
    let isMoving = false;
    for (const [peer, sprite] of this.#sprites) {
      const done = sprite.forMs <= 0 ? 1 : Math.min(1, (nowMs - sprite.startMs) / sprite.forMs);
      const share = ease(done);
      sprite.now = mix(sprite.from, sprite.to, share);
      if (done < 1) isMoving = true;
      else sprite.oldEnd = undefined;
      if (sprite.isLeaving && done >= 1) {
        sprite.group.remove();
        sprite.link.remove();
        this.#sprites.delete(peer);
        this.#killed.delete(peer);
        continue;
      }
      drawNode(sprite, this.#size);
    }
    for (const sprite of this.#sprites.values()) this.#drawLink(sprite);
    if (isMoving) this.#frame ??= requestAnimationFrame(this.#step);
  };

  #drawLink(sprite: Sprite): void {
    const [a, b, c, d] = this.#curveOf(sprite);
    const at = ({ x, y }: Point): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
    sprite.link.setAttribute("d", `M${at(a)}C${at(b)} ${at(c)} ${at(d)}`);
    sprite.link.style.opacity = sprite.now.scale < 1 ? sprite.now.scale.toFixed(2) : "";
  }

  #curveOf(sprite: Sprite): ReturnType<typeof linkCurve> {
    const end = this.#positionOf(sprite.feeder) ?? this.#serverAt;
    const { oldEnd, startMs, forMs } = sprite;
    const share = oldEnd === undefined || forMs <= 0 ? 1 : ease(Math.min(1, (performance.now() - startMs) / forMs));
    const from = oldEnd === undefined ? end : { x: lerp(oldEnd.x, end.x, share), y: lerp(oldEnd.y, end.y, share) };
    return linkCurve(this.#serverAt, from, sprite.now);
  }

  #positionOf(key: NodeKey): Point | undefined {
    return key === "server" ? this.#serverAt : this.#sprites.get(key)?.now;
  }

  #drawArcs({ server, arcs, halfAngle, stageEnd }: Layout): void {
    while (this.#arcs.childElementCount > arcs.length) this.#arcs.lastElementChild?.remove();
    while (this.#arcs.childElementCount < arcs.length) this.#arcs.append(svg("path"));
    for (const [index, { rx, ry }] of arcs.entries()) {
      const end = (side: number): string =>
        `${(server.x + side * rx * Math.sin(halfAngle)).toFixed(1)} ${(server.y + ry * Math.cos(halfAngle)).toFixed(1)}`;
      this.#arcs.children[index]?.setAttribute("d", `M${end(-1)}A${rx.toFixed(1)} ${ry.toFixed(1)} 0 0 0 ${end(1)}`);
    }
    const line = stageEnd === undefined ? "" : `M${server.x} ${server.y}H${stageEnd.x.toFixed(1)}`;
    this.#stageLine.setAttribute("d", line);
  }

  #listen(): void {
    this.#root.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch" || this.#isPinned) return;
      this.#select(this.#nearest(event, 16), false);
    });
    this.#root.addEventListener("pointerleave", () => {
      if (!this.#isPinned) this.deselect();
    });
    this.#root.addEventListener("click", (event) => {
      const key = this.#nearest(event, 26);
      const isSame = this.#isPinned && key === this.#selected;
      this.#select(isSame ? undefined : key, !isSame && key !== undefined);
      if (key !== undefined) this.#moveTab(key);
    });
    // On the frame: browsers let Tab stop at drawings that listen for focus themselves.
    const frame = byId("stage", HTMLElement);
    frame.addEventListener("focusin", (event) => {
      const key = keyOf(event.target);
      if (key === undefined || !(event.target instanceof Element) || !event.target.matches(":focus-visible")) return;
      this.#moveTab(key);
      this.#select(key, true);
    });
    frame.addEventListener("focusout", () => {
      if (this.#isPinned) this.deselect();
    });
    this.#root.addEventListener("keydown", (event) => {
      this.#onKey(event);
    });
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      this.deselect();
      return;
    }
    const next = this.#neighbour(event.key);
    if (next === undefined) return;
    event.preventDefault();
    this.#moveTab(next);
    this.#groupOf(next)?.focus();
  }

  /** Where an arrow leads: up to the feeder, down to the first one fed, sideways along the tier. */
  #neighbour(key: string): NodeKey | undefined {
    const current = this.#current;
    const sprite = current === "server" ? undefined : this.#sprites.get(current);
    const level = [...this.#sprites.values()].filter(({ isLeaving }) => !isLeaving).sort((a, b) => a.to.x - b.to.x);
    switch (key) {
      case "Home":
        return "server";
      case "ArrowUp":
        return sprite?.feeder;
      case "ArrowDown":
        return level.find(({ feeder }) => feeder === current)?.info.peer;
      case "ArrowLeft":
      case "ArrowRight": {
        if (sprite === undefined) return undefined;
        const peers = level.filter(({ info, where }) => where === sprite.where && info.tier === sprite.info.tier);
        return peers[peers.indexOf(sprite) + (key === "ArrowLeft" ? -1 : 1)]?.info.peer;
      }
      default:
        return undefined;
    }
  }

  #moveTab(key: NodeKey): void {
    this.#groupOf(this.#current)?.setAttribute("tabindex", "-1");
    this.#current = key;
    this.#groupOf(key)?.setAttribute("tabindex", "0");
  }

  #ownGroup(): SVGGElement | undefined {
    return this.#you === undefined ? undefined : this.#groupOf(this.#you);
  }

  #groupOf(key: NodeKey): SVGGElement | undefined {
    return key === "server" ? this.#server : this.#sprites.get(key)?.group;
  }

  #nearest(event: MouseEvent, withinPx: number): NodeKey | undefined {
    const box = this.#root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    if (Math.abs(x - this.#serverAt.x) < 36 && Math.abs(y - this.#serverAt.y) < 16) return "server";
    const alive = this.#byPeer();
    let best: NodeKey | undefined;
    let bestPx = withinPx;
    for (const [peer, { now, isLeaving }] of this.#sprites) {
      const px = Math.hypot(now.x - x, now.y - y);
      if (!isLeaving && px < bestPx && alive.has(peer)) [best, bestPx] = [peer, px];
    }
    return best;
  }

  #select(key: NodeKey | undefined, isPinned: boolean): void {
    if (key === this.#selected && isPinned === this.#isPinned) return;
    this.#selected = key;
    this.#isPinned = isPinned;
    this.#light();
  }

  /** Shows the way from the server to the selected peer, and whom it feeds; with none selected, our own way. */
  #light(): void {
    const selected = this.#selected;
    const isFocused = selected !== undefined && selected !== "server";
    const lit = new Set(isFocused ? pathToServer(this.#byPeer(), selected) : this.#pathToYou());
    const below = isFocused ? descendants(this.#peers, selected) : new Set<number>();
    this.#root.classList.toggle("focused", isFocused);
    for (const [peer, sprite] of this.#sprites) {
      const isLit = lit.has(peer);
      sprite.link.classList.toggle("lit", isLit);
      sprite.group.classList.toggle("lit", isLit || below.has(peer));
      sprite.link.classList.toggle("below", below.has(peer));
      sprite.group.classList.toggle("selected", peer === selected);
    }
    this.#server.classList.toggle("selected", selected === "server");
    const at = selected === undefined ? undefined : this.#positionOf(selected);
    const to = typeof selected === "number" ? this.#sprites.get(selected)?.to : at;
    this.#handlers.onSelect(selected, to ?? this.#serverAt, this.#isPinned);
  }

  #pathToYou(): number[] {
    return this.#you === undefined ? [] : pathToServer(this.#byPeer(), this.#you);
  }

  #byPeer(): ReadonlyMap<number, PeerInfo> {
    return new Map(this.#peers.map((info) => [info.peer, info]));
  }
}

/** Whether nothing comes over a peer's link any more. */
function isCut({ info, feeder }: Spot, sprites: ReadonlyMap<number, Sprite>): boolean {
  if (info === undefined || info.place === "orphan") return true;
  return feeder !== undefined && (sprites.get(feeder)?.group.classList.contains("killed") ?? false);
}

function keyOf(target: EventTarget | null): NodeKey | undefined {
  const group = target instanceof Element ? target.closest("[role=treeitem]") : null;
  if (group === null) return undefined;
  const peer = group.getAttribute("data-peer");
  return peer === null ? "server" : Number(peer);
}
