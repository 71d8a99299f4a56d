/** How times are spread. */

export function sorted(ms: readonly number[]): number[] {
  return [...ms].sort((one, other) => one - other);
}

export function quantile(ms: readonly number[], share: number): number {
  return ms[Math.min(ms.length - 1, Math.floor(share * ms.length))] ?? 0;
}

/** Half of them, 99 of 100, and all are no longer. */
export function spread(ms: readonly number[]): string {
  return [0.5, 0.99, 1].map((share) => `${quantile(ms, share).toFixed(0)} ms`).join(" / ");
}
