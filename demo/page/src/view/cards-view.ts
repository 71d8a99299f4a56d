/** The cards of the incidents, newest first. They stay as they are; only what goes on changes. */
import { type Card, egressText, hitText, lieText, lostText, stallText, stateText, titleOf } from "../model/card.js";
import { byId, html, setText } from "./dom.js";

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

interface Parts {
  readonly item: HTMLLIElement;
  readonly title: HTMLElement;
  readonly time: HTMLTimeElement;
  readonly hit: HTMLElement;
  readonly stall: HTMLElement;
  readonly lost: HTMLElement;
  readonly egress: HTMLElement;
  readonly state: HTMLElement;
}

export class CardsView {
  readonly #section = byId("incidents", HTMLElement);
  readonly #list = byId("cards", HTMLOListElement);
  readonly #known = new Map<number, Parts>();

  show(cards: readonly Card[]): void {
    this.#section.hidden = cards.length === 0;
    const numbers = new Set(cards.map(({ number }) => number));
    for (const [number, { item }] of this.#known) {
      if (numbers.has(number)) continue;
      item.remove();
      this.#known.delete(number);
    }
    for (const card of [...cards].reverse()) {
      let parts = this.#known.get(card.number);
      if (parts === undefined) {
        parts = makeCard();
        this.#known.set(card.number, parts);
        this.#list.prepend(parts.item);
        this.#list.scrollTop = 0;
      }
      write(parts, card);
    }
  }
}

function makeCard(): Parts {
  const item = html("li", "card");
  const head = html("div", "card-head");
  const [title, time] = [html("b"), html("time")];
  head.append(title, time);
  const [hit, state] = [html("p", "card-hit"), html("p", "card-state")];
  const figures = html("dl");
  const figure = (name: string, label: string): HTMLElement => {
    const [box, value] = [html("div"), html("dd", name)];
    box.append(html("dt", "", label), value);
    figures.append(box);
    return value;
  };
  const stall = figure("card-stall", "Longest stall");
  const lost = figure("card-lost", "Lost");
  const egress = figure("card-egress", "Server, a second");
  item.append(head, hit, figures, state);
  return { item, title, time, hit, stall, lost, egress, state };
}

function write(parts: Parts, card: Card): void {
  parts.item.dataset["state"] = card.state;
  parts.item.dataset["fault"] = card.fault;
  setText(parts.title, titleOf(card));
  setText(parts.time, TIME.format(card.atMs));
  setText(parts.hit, [hitText(card), lieText(card)].filter((text) => text !== undefined).join(" "));
  setText(parts.stall, stallText(card));
  setText(parts.lost, lostText(card));
  parts.lost.classList.toggle("good", card.lost === 0 && card.state !== "recovering");
  parts.lost.classList.toggle("bad", card.lost > 0);
  setText(parts.egress, egressText(card));
  setText(parts.state, stateText(card));
}
