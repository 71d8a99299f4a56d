/** The page of the fan-out experiment: joins the channel as a peer, and shows the tree and what it saves. */
import type { FaultButton } from "./model/faults.js";
import { formatByteRate, formatBytes, formatMs, formatRate } from "./model/format.js";
import { LatencyWindow } from "./model/latency.js";
import { OffloadMeter } from "./model/offload.js";
import { Series } from "./model/series.js";
import { takeCensus, withoutPlaces } from "./model/topology.js";
import type { Struck } from "./net/api.js";
import { Poller, type Reading } from "./net/poller.js";
import { canLink } from "./own/own-peer.js";
import { type OwnEvent, OwnPage } from "./own/own-page.js";
import { CardsView } from "./view/cards-view.js";
import { Chart } from "./view/chart.js";
import { ConnectionView } from "./view/connection.js";
import { Controls } from "./view/controls.js";
import { byId, setText } from "./view/dom.js";
import { EventList } from "./view/event-list.js";
import { Legend } from "./view/legend.js";
import { OffloadView } from "./view/offload-view.js";
import type { NodeKey } from "./view/sprite.js";
import { Tip } from "./view/tip.js";
import { TreeView } from "./view/tree-view.js";
import { YouView } from "./view/you-view.js";

/** The demo's channel, until the server names its own. */
const CHANNEL = "builds";
/** What rates and percentiles are taken over. */
const WINDOW_MS = 10_000;
const CHART_SECONDS = 60;
/** After something went wrong the tree is watched closely for so long. */
const HURRY_MS = 4_000;

class Page {
  readonly #own: OwnPage;
  readonly #poller: Poller;
  readonly #controls: Controls;
  readonly #tree: TreeView;
  readonly #connection: ConnectionView;
  readonly #events = new EventList();
  readonly #tip = new Tip();
  readonly #legend = new Legend();
  readonly #cards = new CardsView();
  readonly #offloadView = new OffloadView();
  readonly #youView = new YouView();
  readonly #meter = new OffloadMeter(WINDOW_MS);
  readonly #latency = new LatencyWindow(WINDOW_MS);
  readonly #rates = new Series(CHART_SECONDS);
  readonly #p50s = new Series(CHART_SECONDS);
  readonly #p99s = new Series(CHART_SECONDS);
  readonly #egress = new Series(CHART_SECONDS);
  readonly #egressChart = new Chart("egress-chart", CHART_SECONDS, [{ series: this.#egress, className: "line line-server" }], formatBytes);
  readonly #rateChart = new Chart("rate-chart", CHART_SECONDS, [{ series: this.#rates, className: "line" }], formatRate);
  readonly #latencyChart = new Chart(
    "latency-chart",
    CHART_SECONDS,
    [
      { series: this.#p50s, className: "line" },
      { series: this.#p99s, className: "line line-p99" },
    ],
    (ms) => `${formatMs(ms)}\u202fms`,
  );
  #reading: Reading | undefined;
  #selected: NodeKey | undefined;
  /** What the server had sent when the last second began. */
  #sent: { readonly atMs: number; readonly bytes: number } | undefined;
  #eventsThisSecond = 0;
  #secondStartMs = performance.now();

  constructor() {
    this.#poller = new Poller(CHANNEL, {
      onReading: (reading) => {
        this.#onReading(reading);
      },
      onLink: () => {
        this.#showConnection();
      },
    });
    this.#controls = new Controls({
      onChanged: () => {
        this.#poller.hurry(1_000);
      },
      onStruck: (fault, struck) => {
        this.#onStruck(fault, struck);
      },
    });
    this.#tree = new TreeView({
      onSelect: (key, at) => {
        this.#selected = key;
        if (key === undefined) this.#tip.hide();
        else this.#tip.show(key, at, this.#reading?.peers ?? [], this.#you);
      },
    });
    this.#connection = new ConnectionView({
      retry: () => {
        this.#poller.askNow();
      },
      addTen: () => void this.#controls.addTen(),
    });
    this.#own = new OwnPage(CHANNEL, (own) => {
      this.#onEvent(own);
    });
    this.#listen();
  }

  start(): void {
    this.#own.start();
    this.#poller.start();
    setInterval(() => {
      this.#tick();
    }, 250);
    this.#tick();
  }

  get #you(): number | undefined {
    return this.#own.snapshot().peer;
  }

  #listen(): void {
    const relay = byId("relay", HTMLButtonElement);
    relay.addEventListener("click", () => {
      this.#own.setRelay(!this.#own.relays);
      this.#poller.hurry(2_000);
      this.#tick();
    });
  }

  #onEvent({ event, routingKey, latencyMs }: OwnEvent): void {
    const nowMs = performance.now();
    this.#eventsThisSecond++;
    this.#latency.add(nowMs, latencyMs);
    this.#events.add({ ...event, routingKey });
    this.#tree.pulse(nowMs);
  }

  #onReading(read: Reading): void {
    const reading = { ...read, peers: read.state.isMeshOn ? read.peers : withoutPlaces(read.peers) };
    this.#reading = reading;
    const { state, peers, atMs } = reading;
    setText(byId("channel", HTMLElement), state.channel);
    this.#own.setChannel(state.channel);
    this.#own.setMesh(state.isMeshOn);
    this.#offloadView.show(this.#meter.add(atMs, state.server));
    this.#youView.showSwarm(state.swarm, state.nativePeers);
    this.#controls.show(state, true);
    this.#cards.show(state.cards);
    this.#legend.show(takeCensus(peers), state);
    this.#tree.mark(state);
    this.#tree.update(peers, this.#you);
    this.#showConnection();
  }

  #onStruck({ fault }: FaultButton, { victims }: Struck): void {
    if (fault === "kill") for (const victim of victims) this.#tree.kill(victim);
    this.#poller.hurry(HURRY_MS);
  }

  /** Four times a second: what changes without an answer from the server. */
  #tick(): void {
    const nowMs = performance.now();
    const own = this.#own.snapshot();
    const latency = this.#latency.figures(nowMs);
    this.#youView.showOwn({
      own,
      books: this.#own.books,
      latency,
      relayedBytes: this.#own.relayedBytes,
      reconnects: this.#own.reconnects,
      relays: this.#own.takesPart,
      canLink: canLink(),
    });
    this.#events.tick();
    this.#showRelay();
    this.#showConnection();
    if (nowMs - this.#secondStartMs >= 1_000) this.#onSecond(nowMs);
  }

  #onSecond(nowMs: number): void {
    const perS = (this.#eventsThisSecond * 1000) / (nowMs - this.#secondStartMs);
    const { p50, p99 } = this.#latency.figures(nowMs, 1_000);
    this.#rates.push(perS);
    this.#p50s.push(p50);
    this.#p99s.push(p99);
    this.#eventsThisSecond = 0;
    this.#secondStartMs = nowMs;
    setText(byId("rate-now", HTMLElement), formatRate(Math.round(perS)));
    setText(byId("latency-now", HTMLElement), p50 === undefined ? "–" : `${formatMs(p50)} / ${formatMs(p99)}\u202fms`);
    this.#onEgressSecond();
    if (document.hidden) return;
    this.#egressChart.draw();
    this.#rateChart.draw();
    this.#latencyChart.draw();
  }

  /** By what the last two readings said; nothing while the server does not answer. */
  #onEgressSecond(): void {
    const [reading, before] = [this.#reading, this.#sent];
    if (reading === undefined) return;
    const { atMs, state } = reading;
    const bytes = state.server.dataBytes + state.server.controlBytes;
    // A reading that is late says nothing new: it goes on as it was.
    const isLate = before?.atMs === atMs && this.#poller.link.kind === "up";
    const isKnown = before !== undefined && atMs > before.atMs && bytes >= before.bytes;
    const known = isKnown ? ((bytes - before.bytes) * 1000) / (atMs - before.atMs) : undefined;
    const perS = isLate ? this.#egress.values.at(-1) : known;
    this.#sent = { atMs, bytes };
    this.#egress.push(perS);
    setText(byId("egress-now", HTMLElement), perS === undefined ? "–" : formatByteRate(perS));
  }

  #showRelay(): void {
    const isOn = this.#own.takesPart;
    const isMeshOn = this.#reading?.state.isMeshOn ?? true;
    const button = byId("relay", HTMLButtonElement);
    button.setAttribute("aria-checked", String(isOn));
    button.disabled = !canLink() || !isMeshOn;
    button.title = isMeshOn ? "" : "The mesh is off.";
    setText(
      byId("privacy-text", HTMLElement),
      isOn
        ? "This page relays events to other peers; they can see your IP address."
        : !isMeshOn
          ? "The mesh is off: the server feeds this page, too."
          : canLink()
          ? "Relaying is off: the server feeds this page, and no peer sees your IP address."
          : "This browser has no WebRTC: the server feeds this page, and it relays to nobody.",
    );
  }

  #showConnection(): void {
    const { link } = this.#poller;
    const isUp = link.kind === "up";
    if (!isUp) this.#controls.show(undefined, false);
    if (link.kind === "gone" && this.#reading !== undefined) {
      this.#offloadView.showAge(performance.now() - this.#reading.atMs);
    }
    const you = this.#you;
    this.#connection.show({
      link,
      own: this.#own.snapshot(),
      nowMs: performance.now(),
      others: this.#reading?.peers.filter(({ peer }) => peer !== you).length,
      relays: this.#own.takesPart,
      canLink: canLink(),
    });
    if (this.#selected !== undefined && !isUp) this.#tree.deselect();
  }
}

new Page().start();
