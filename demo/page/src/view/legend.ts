/** What the colours and shapes of the tree mean, and how many there are of each. */
import { formatCount } from "../model/format.js";
import type { Marked } from "../model/demo-state.js";
import type { Census } from "../model/topology.js";
import { byId, html, setText } from "./dom.js";

interface Entry {
  readonly key: string;
  readonly text: string;
}

export class Legend {
  readonly #list = byId("legend", HTMLUListElement);

  show(census: Census, marked: Marked): void {
    const entries = entriesOf(census);
    if (marked.frozen.length > 0) entries.push({ key: "frozen", text: `frozen: ${formatCount(marked.frozen.length)}` });
    if (marked.killed.length > 0) entries.push({ key: "killed", text: `killed: ${formatCount(marked.killed.length)}` });
    if (marked.liars.length > 0) entries.push({ key: "liar", text: `lying: ${formatCount(marked.liars.length)}` });
    while (this.#list.childElementCount > entries.length) this.#list.lastElementChild?.remove();
    while (this.#list.childElementCount < entries.length) {
      const item = html("li");
      item.append(html("i"), html("span"));
      this.#list.append(item);
    }
    for (const [index, { key, text }] of entries.entries()) {
      const item = this.#list.children[index];
      const [mark, label] = [item?.children[0], item?.children[1]];
      if (mark === undefined || label === undefined) continue;
      if (mark.className !== `swatch ${key}`) mark.className = `swatch ${key}`;
      setText(label, text);
    }
  }
}

function entriesOf({ tiers, direct, joining, orphans }: Census): Entry[] {
  const entries: Entry[] = tiers
    .map((count, index) => ({ count, tier: index + 1 }))
    .filter(({ count }) => count > 0)
    .map(({ count, tier }) => ({ key: `t${Math.min(5, tier)}`, text: `tier ${tier}: ${formatCount(count)}` }));
  if (joining > 0) entries.push({ key: "waiting", text: `joining: ${formatCount(joining)}` });
  if (direct > 0) entries.push({ key: "direct", text: `fed by the server: ${formatCount(direct)}` });
  if (orphans > 0) entries.push({ key: "orphan", text: `moving: ${formatCount(orphans)}` });
  entries.push({ key: "native", text: "native" }, { key: "browser", text: "browser" });
  return entries;
}
