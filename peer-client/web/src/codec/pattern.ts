/** AMQP topic patterns: which routing keys a subscriber wants. */
import { ROUTING_KEY_BYTES_MAX } from "./limits.js";

/** A text that is not a pattern. */
export class PatternError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "PatternError";
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
  readonly #text: string;
  readonly #words: readonly string[];

  /** Throws {@link PatternError}. */
  constructor(text: string) {
    this.#text = text;
    this.#words = wordsOf(text);
    const isAlone = (word: string): boolean => word.length === 1 || !/[*#]/.test(word);
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > ROUTING_KEY_BYTES_MAX || !this.#words.every(isAlone)) throw new PatternError(text);
  }

  toString(): string {
    return this.#text;
  }

  /** Whether `routingKey` matches. Takes at most the product of both numbers of words. */
  matches(routingKey: string): boolean {
    return this.matchesWords(wordsOf(routingKey));
  }

  /** The same for a key's words. @internal */
  matchesWords(key: readonly string[]): boolean {
    const pattern = this.#words;
    // Where to go on if it goes wrong: behind the last `#`, which then stands for one word more. An earlier one never
    // has to: whatever it would take, the last one takes as well.
    let behindHash = 0;
    let taken = -1;
    let at = 0;
    let keyAt = 0;
    for (;;) {
      const wanted = pattern[at];
      const word = key[keyAt];
      if (wanted === "#") {
        behindHash = ++at;
        taken = keyAt;
      } else if (wanted !== undefined && word !== undefined && (wanted === "*" || wanted === word)) {
        at++;
        keyAt++;
      } else if (wanted === undefined && word === undefined) {
        return true;
      } else {
        if (taken < 0 || taken === key.length) return false;
        at = behindHash;
        keyAt = ++taken;
      }
    }
  }

  /** The words that it begins with and that stand for themselves; undefined if there are none. @internal */
  get beginning(): string | undefined {
    const wildcard = this.#words.findIndex((word) => word === "*" || word === "#");
    const count = wildcard < 0 ? this.#words.length : wildcard;
    return count === 0 ? undefined : this.#words.slice(0, count).join(".");
  }
}

/** The words of a routing key or pattern. @internal */
export function wordsOf(text: string): string[] {
  return text === "" ? [] : text.split(".");
}
