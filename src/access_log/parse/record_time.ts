// The time of a record, taken from START_TIME: `request.time` keeps the spelling of the line, `batch.time` is what the
// pipeline reads.

import type { Batch } from '../../pipeline/batch.ts';
import { type Column, INT, TEXT } from '../../pipeline/column.ts';
import { toWords, words } from '../../pipeline/time.ts';
import type { Command } from '../format/grammar.ts';
import { readTime, type TimeReader, timeReader } from '../format/time_reading.ts';
import type { Target } from './target.ts';

export class RecordTime {
  /** Undefined: RFC 3339, which the pipeline reads itself. */
  readonly #reader: TimeReader | undefined;
  /** The column of record times, when writing `request.time` is not already writing it. */
  #column: Column | undefined;

  constructor(command: Command) {
    const format = command.args.time!;
    this.#reader = format.isDefault ? undefined : timeReader(format);
  }

  /** Whether a command's values are times of records. */
  static isMeant({ field, store }: Target): boolean {
    return field === 'request.time' && store === 'time';
  }

  /** Turns to a batch whose `request.time` is `own`. Times of the framing stay for the rows that have no other. */
  attach(batch: Batch, own: Column): void {
    this.#column = undefined;
    const framing = batch.time;
    if (this.#reader === undefined && (framing === undefined || framing === own)) {
      batch.time = own;
      return;
    }
    const time = batch.recordColumn('time');
    if (framing !== undefined) {
      time.kind.set(framing.kind);
      time.a.set(framing.a);
      time.b.set(framing.b);
    }
    batch.time = time;
    this.#column = time;
  }

  /** Bytes start..end are the time that the row's `request.time` holds. */
  keep(batch: Batch, row: number, start: number, end: number): void {
    const time = this.#column;
    if (time === undefined) return;
    if (this.#reader === undefined) time.setSpan(row, TEXT, start, end);
    else if (this.#reader(batch.bytes, start, end)) {
      toWords(readTime.seconds, readTime.nanos);
      time.kind[row] = INT;
      time.a[row] = words.low;
      time.b[row] = words.high;
    }
  }
}
