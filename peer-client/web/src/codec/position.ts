/** Where one is in a channel: epoch and offset, and their text form. */

/** An event's place in its channel. -1 ({@link BEFORE_FIRST}) is the place before the first event. */
export type Offset = number;

/** The lifetime of a channel's numbering. A later numbering has a larger epoch wherever clocks allow. */
export type Epoch = number;

/** The offset of one who has nothing yet. */
export const BEFORE_FIRST: Offset = -1;

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
export class PositionError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "PositionError";
  override readonly name = "PositionError";

  constructor(text: string) {
    super(`\`${text.slice(0, 64)}\` is not a position: expected EPOCH-OFFSET, such as 7331243921334-41`);
  }
}

/** Whether both numbers are in the range that the format allows. */
export function inRange({ epoch, offset }: Position): boolean {
  return Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(offset) && offset >= BEFORE_FIRST;
}

/** Orders positions: by epoch first. Negative, zero or positive. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.offset - b.offset;
}

/** The text form, used in URLs, SSE ids and JSON: `<epoch>-<offset>`. */
export function formatPosition({ epoch, offset }: Position): string {
  return `${epoch}-${offset}`;
}

/** Reads the text form; throws {@link PositionError}. */
export function parsePosition(text: string): Position {
  const match = /^(0|[1-9]\d{0,15})-(-1|0|[1-9]\d{0,15})$/.exec(text);
  const position = { epoch: Number(match?.[1]), offset: Number(match?.[2]) };
  if (match === null || !inRange(position)) throw new PositionError(text);
  return position;
}

export function formatSince(since: Since): string {
  return typeof since === "string" ? since : formatPosition(since);
}

export function parseSince(text: string): Since {
  return text === "now" || text === "earliest" ? text : parsePosition(text);
}
