/** AMQP topic patterns: which routing keys a subscriber wants. */
/** A text that is not a pattern. */
export declare class PatternError extends Error {
    readonly name = "PatternError";
    constructor(text: string);
}
/**
 * A topic pattern: words separated by dots, where `*` stands for one word and `#` for any number of words. A word may
 * be empty, as the second of `a..b`; an empty text has no word.
 */
export declare class Pattern {
    #private;
    /** Throws {@link PatternError}. */
    constructor(text: string);
    /** Whether `routingKey` matches. */
    matches(routingKey: string): boolean;
}
