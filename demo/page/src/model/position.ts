/** Where in a channel: the lifetime of the numbering, and the offset in it. */
export interface Position {
  readonly epoch: number;
  readonly offset: number;
}
