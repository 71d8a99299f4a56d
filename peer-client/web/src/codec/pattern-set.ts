/** Many topic patterns at once: what a subscriber wants of a channel. */
import { Pattern, wordsOf } from "./pattern.js";

/**
 * A set of topic patterns, of which a routing key must match one.
 *
 * Each pattern stands under the words that it begins with, up to its first `*` or `#`. So a key is held against a few
 * of them only, however many there are: those under its own beginnings, and those that begin with `*` or `#`.
 */
export class PatternSet {
  /** By their beginnings, and there by their texts. */
  readonly #patterns = new Map<string | undefined, Map<string, Pattern>>();

  /** What one wants who names these patterns. Who names none wants everything, which is the pattern `#`. */
  constructor(patterns: readonly Pattern[]) {
    for (const pattern of patterns.length === 0 ? [new Pattern("#")] : patterns) this.insert(pattern);
  }

  /** Adds a pattern; false if it is there already. */
  insert(pattern: Pattern): boolean {
    const { beginning } = pattern;
    const patterns = this.#patterns.get(beginning) ?? new Map<string, Pattern>();
    this.#patterns.set(beginning, patterns);
    const text = pattern.toString();
    if (patterns.has(text)) return false;
    patterns.set(text, pattern);
    return true;
  }

  /** Removes a pattern; false if it is not there. A set without any matches nothing. */
  remove(pattern: Pattern): boolean {
    const { beginning } = pattern;
    const patterns = this.#patterns.get(beginning);
    if (patterns?.delete(pattern.toString()) !== true) return false;
    if (patterns.size === 0) this.#patterns.delete(beginning);
    return true;
  }

  /** Whether `routingKey` matches one of them. */
  matches(routingKey: string): boolean {
    const words = wordsOf(routingKey);
    if (this.#matchesUnder(undefined, words)) return true;
    let end = -1;
    for (const word of words) {
      end += 1 + word.length;
      if (this.#matchesUnder(routingKey.slice(0, end), words)) return true;
    }
    return false;
  }

  #matchesUnder(beginning: string | undefined, words: readonly string[]): boolean {
    const patterns = this.#patterns.get(beginning);
    if (patterns === undefined) return false;
    for (const pattern of patterns.values()) if (pattern.matchesWords(words)) return true;
    return false;
  }
}
