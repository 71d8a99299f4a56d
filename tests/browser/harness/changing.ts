/** Something that can be waited for: a condition is looked at again whenever the thing changes, and at no other time. */

/** How long anything may take on a machine that is busy with something else. */
export const DEADLINE_MS = 60_000;
/** How often a server is asked that does not tell by itself. */
const ASK_EVERY_MS = 40;

export class Changing {
  readonly #watchers = new Set<() => void>();

  /** Lets everybody who waits look again. */
  changed(): void {
    for (const look of [...this.#watchers]) look();
  }

  /** Waits until `condition` gives neither `undefined` nor `false`. It may throw to end the waiting. */
  async until<T>(what: string, condition: () => T | undefined | false, timeoutMs = DEADLINE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        settle();
      };
      const look = (): void => {
        try {
          const value = condition();
          if (value === undefined || value === false) return;
          end(() => {
            resolve(value);
          });
        } catch (error) {
          end(() => {
            reject(error instanceof Error ? error : new Error(String(error)));
          });
        }
      };
      const timer = setTimeout(() => {
        end(() => {
          reject(new Error(`not within ${timeoutMs} ms: ${what}`));
        });
      }, timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }
}

/** Asks again and again until the answer is neither `undefined` nor `false`; the last answer is in the error. */
export async function ask<T>(
  what: string,
  question: () => Promise<T | undefined | false>,
  describe: () => string = () => "",
  timeoutMs = DEADLINE_MS,
): Promise<T> {
  const giveUpAt = Date.now() + timeoutMs;
  for (;;) {
    const answer = await question();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > giveUpAt) throw new Error(`not within ${timeoutMs} ms: ${what} ${describe()}`.trim());
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
}
