/** AMQP topic patterns: which routing keys a subscriber wants. */

const PATTERN_BYTES_MAX = 255;

/** A text that is not a pattern. */
export class PatternError extends Error {
  override readonly name = "PatternError";

  constructor(text: string) {
    super(
      `\`${text.slice(0, 64)}\` is not a topic pattern: at most 255 bytes, and \`*\` and \`#\` stand alone between dots`,
    );
  }
}

/**
 * A topic pattern: words separated by dots, where `*` stands for one word and `#` for any number of words. A word may
 * be empty, as the second of `a..b`; an empty text has no word.
 */
export class Pattern {
  readonly #words: readonly string[];

  /** Throws {@link PatternError}. */
  constructor(text: string) {
    this.#words = wordsOf(text);
    const isAlone = (word: string): boolean => word.length === 1 || !/[*#]/.test(word);
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > PATTERN_BYTES_MAX || !this.#words.every(isAlone)) throw new PatternError(text);
  }

  /** Whether `routingKey` matches. */
  matches(routingKey: string): boolean {
    // The places in the pattern that the key's words so far can have reached.
    let reached = this.#withHashes(new Set([0]));
    for (const key of wordsOf(routingKey)) {
      const next = new Set<number>();
      for (const at of reached) {
        const word = this.#words[at];
        if (word === "#") next.add(at);
        else if (word === "*" || word === key) next.add(at + 1);
      }
      reached = this.#withHashes(next);
    }
    return reached.has(this.#words.length);
  }

  /** `#` matches no word, too. A set that grows while it is walked is walked to its end. */
  #withHashes(reached: Set<number>): Set<number> {
    for (const at of reached) if (this.#words[at] === "#") reached.add(at + 1);
    return reached;
  }
}

function wordsOf(text: string): string[] {
  return text === "" ? [] : text.split(".");
}
