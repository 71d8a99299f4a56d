/** The rate slider: each step is about the same factor, and every step a round number. */

const STEPS = [
  1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 600, 800, 1000,
] as const;

/** The rates on the slider, up to and including the server's maximum. */
export function rateSteps(perSMax: number): number[] {
  const steps: number[] = STEPS.filter((step) => step < perSMax);
  return [...steps, Math.max(1, Math.floor(perSMax))];
}

/** The step nearest to a rate, by factor. */
export function stepOf(steps: readonly number[], perS: number): number {
  const distance = (step: number): number => Math.abs(Math.log(step / Math.max(0.5, perS)));
  let best = 0;
  for (const [index, step] of steps.entries()) {
    if (distance(step) < distance(steps[best] ?? 1)) best = index;
  }
  return best;
}
