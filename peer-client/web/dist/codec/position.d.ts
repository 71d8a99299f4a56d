/** Where one is in a channel: epoch and offset, and their text form. */
/** An event's place in its channel. -1 ({@link BEFORE_FIRST}) is the place before the first event. */
export type Offset = number;
/** The lifetime of a channel's numbering. A later numbering has a larger epoch wherever clocks allow. */
export type Epoch = number;
/** The offset of one who has nothing yet. */
export declare const BEFORE_FIRST: Offset;
/** "I have everything up to and including `offset`, in the numbering `epoch`." */
export interface Position {
    /** Which numbering. */
    readonly epoch: Epoch;
    /** Last offset taken. */
    readonly offset: Offset;
}
/** Where a subscription starts: a position, the newest event, or the oldest retained one. */
export type Since = "now" | "earliest" | Position;
/** Why events are gone: no longer retained; the numbering began anew; the source lost them, or they are too large. */
export type GapReason = "retention" | "epoch" | "source";
/** A text that is not a position. */
export declare class PositionError extends Error {
    readonly name = "PositionError";
    constructor(text: string);
}
/** Whether both numbers are in the range that the format allows. */
export declare function inRange({ epoch, offset }: Position): boolean;
/** Orders positions: by epoch first. Negative, zero or positive. */
export declare function comparePositions(a: Position, b: Position): number;
/** The text form, used in URLs, SSE ids and JSON: `<epoch>-<offset>`. */
export declare function formatPosition({ epoch, offset }: Position): string;
/** Reads the text form; throws {@link PositionError}. */
export declare function parsePosition(text: string): Position;
export declare function formatSince(since: Since): string;
export declare function parseSince(text: string): Since;
