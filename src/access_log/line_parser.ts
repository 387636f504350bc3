// What turns a line into a record. Every format has one; the `parse` processor asks them in turn and marks what they say.

import type { Batch } from '../pipeline/batch.ts';

/** The row has its columns. */
export const UNDERSTOOD = 0;
/** So it has, but a value holds what the format puts between values: the processor sets `log.parse_ambiguous`. */
export const AMBIGUOUS = 1;
/** The line is not of this format; nothing was written. `reason` says why. */
export const NO_FIT = 2;

export type ParseOutcome = typeof UNDERSTOOD | typeof AMBIGUOUS | typeof NO_FIT;

export type LineParser = {
  /** The name in the configuration, or what the format is called. */
  readonly name: string;
  /** Turns to a batch: columns are obtained when the first of its lines fits. */
  begin(batch: Batch): void;
  /** Reads bytes[start, end) of the batch into the columns of `row`. The row has none of the format's fields yet. */
  parse(batch: Batch, row: number, start: number, end: number): ParseOutcome;
  /** Why the last line did not fit, in a few words with the byte where it stopped fitting. */
  reason(): string;
};
