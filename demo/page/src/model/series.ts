/** A figure's last minute, one value per second. */

/** A bounded series; the oldest values go first. Undefined: nothing was measured in that second. */
export class Series {
  readonly #length: number;
  readonly #values: (number | undefined)[] = [];

  constructor(length: number) {
    this.#length = length;
  }

  push(value: number | undefined): void {
    this.#values.push(value);
    if (this.#values.length > this.#length) this.#values.shift();
  }

  /** Oldest first. */
  get values(): readonly (number | undefined)[] {
    return this.#values;
  }

  get max(): number {
    return this.#values.reduce<number>((max, value) => Math.max(max, value ?? 0), 0);
  }
}

/** The next round number that is not below `value`, such as 15, 20 or 30: the top of an axis. */
export function niceCeil(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((candidate) => candidate * power >= value * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/**
 * An SVG path through a series that ends at the right edge; the line breaks where nothing was measured.
 * `length` is how many values fill the width.
 */
export function linePath(
  values: readonly (number | undefined)[],
  { width, height, length, top }: { width: number; height: number; length: number; top: number },
): string {
  const step = width / Math.max(1, length - 1);
  let path = "";
  let isDown = false;
  for (const [index, value] of values.entries()) {
    if (value === undefined) {
      isDown = false;
      continue;
    }
    const x = width - (values.length - 1 - index) * step;
    const y = height - (Math.min(value, top) / top) * height;
    path += `${isDown ? "L" : "M"}${round(x)} ${round(y)}`;
    isDown = true;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
