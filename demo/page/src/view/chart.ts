/** A line chart of the last minute, as small as can be. */
import { type Series, linePath, niceCeil } from "../model/series.js";
import { byId, setText, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 56;

/** One line of a chart. */
export interface Line {
  readonly series: Series;
  readonly className: string;
}

export class Chart {
  readonly #lines: readonly { readonly line: Line; readonly path: SVGPathElement }[];
  readonly #area: SVGPathElement;
  readonly #top: HTMLElement;
  readonly #length: number;
  readonly #format: (value: number) => string;

  /** Draws into `#{id}`, whose axis label is `#{id}-top`. */
  constructor(id: string, length: number, lines: readonly Line[], format: (value: number) => string) {
    const root = byId(id, SVGSVGElement);
    this.#top = byId(`${id}-top`, HTMLElement);
    this.#length = length;
    this.#format = format;
    root.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    root.setAttribute("preserveAspectRatio", "none");
    this.#area = svg("path", { class: "area" });
    root.append(this.#area);
    this.#lines = lines.map((line) => {
      const path = svg("path", { class: line.className });
      root.append(path);
      return { line, path };
    });
  }

  draw(): void {
    const max = Math.max(0, ...this.#lines.map(({ line }) => line.series.max));
    const top = niceCeil(max * 1.05);
    setText(this.#top, max > 0 ? this.#format(top) : "");
    for (const [index, { line, path }] of this.#lines.entries()) {
      // A point and a half of room above, so that a line at the top is not cut.
      const drawn = linePath(line.series.values, { width: WIDTH, height: HEIGHT - 2, length: this.#length, top });
      path.setAttribute("d", drawn);
      const isWhole = drawn !== "" && drawn.lastIndexOf("M") === 0;
      if (index > 0) continue;
      const startX = /^M([\d.]+)/.exec(drawn)?.[1] ?? "0";
      this.#area.setAttribute("d", isWhole ? `${drawn}V${HEIGHT}H${startX}Z` : "");
    }
  }
}
