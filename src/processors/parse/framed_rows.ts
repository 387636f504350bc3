// Lines that still have what a container runtime, or `kubectl logs --timestamps`, wrote in front of them.

import { NO_FIT, type ParseOutcome } from '../../access_log/line_parser.ts';
import { frame, readCriFrame, streamNames } from '../../encoding/container.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { type Column, Dictionary } from '../../pipeline/column.ts';
import { parsedTime, parseTime, toWords, words } from '../../pipeline/time.ts';
import type { RowParser } from './row_parser.ts';

const streams = new Dictionary();
for (const name of streamNames) streams.code(name);

/** Reads what stands in front of lines; `content` reads the rest. */
export class FramedRows {
  readonly #content: Pick<RowParser, 'parse'>;
  readonly #times = new FrameTimes();
  /** Whether the last line that was given to `cri` had such a framing. */
  framed = true;

  constructor(content: Pick<RowParser, 'parse'>) {
    this.#content = content;
  }

  begin(batch: Batch): void {
    this.#times.begin(batch);
  }

  /** `2024-04-13T07:59:37.505201169Z stdout F content` */
  cri(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    this.framed = readCriFrame(batch.bytes, start, end);
    if (!this.framed) return NO_FIT;
    this.#times.put(batch, row, frame.timeLow, frame.timeHigh);
    const column = batch.ownColumn('log.iostream');
    column.dictionary ??= streams;
    if (column.dictionary === streams) column.setCode(row, frame.stream);
    else batch.setValue(column, row, streamNames[frame.stream]);
    return this.#content.parse(batch, row, frame.start, frame.end);
  }

  /** `2024-04-13T07:59:37.505201169Z content` */
  timed(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    const { bytes } = batch;
    let at = start;
    while (at < end && at < start + 40 && bytes[at] !== 32) at++;
    if (bytes[at] !== 32 || !parseTime(bytes, start, at)) return NO_FIT;
    toWords(parsedTime.seconds, parsedTime.nanos);
    const { low, high } = words;
    const outcome = this.#content.parse(batch, row, at + 1, end);
    if (outcome !== NO_FIT) this.#times.fill(batch, row, low, high);
    return outcome;
  }
}

/** Reads lines in CRI's framing; `content` reads what is in them. */
export function criRows(content: RowParser): RowParser {
  const rows = new FramedRows(content);
  return {
    name: 'cri',
    begin(batch) {
      content.begin(batch);
      rows.begin(batch);
    },
    parse: (batch, row, start, end) => rows.cri(batch, row, start, end),
    reason: () =>
      rows.framed ? content.reason() : 'has no CRI framing: time, stdout or stderr, P or F',
    recognised: () => content.recognised(),
    problem: () => (rows.framed ? content.problem() : 'no_framing'),
    end: (batch) => content.end(batch),
  };
}

/** The time in front of a line is that of its record as long as the line itself has none. */
class FrameTimes {
  #given: Column | undefined;
  /** The column that was found to be for writing. */
  #column: Column | undefined;

  begin(batch: Batch): void {
    this.#given = batch.time;
    this.#column = undefined;
  }

  /** Before the content is read: what it says about the time counts. */
  put(batch: Batch, row: number, low: number, high: number): void {
    this.#for(batch).setInt64(row, low, high);
  }

  /** After the content was read. */
  fill(batch: Batch, row: number, low: number, high: number): void {
    const column = this.#for(batch);
    if (column.kind[row] === 0) column.setInt64(row, low, high);
  }

  /**
   * A parser of the content may have put down a column of its own for times, which then is the one to write to. What was
   * there before, and what is an attribute, is copied.
   */
  #for(batch: Batch): Column {
    const before = batch.time;
    if (before !== undefined && before === this.#column) return before;
    const isOurs =
      before !== undefined && before !== this.#given && !batch.columns.includes(before);
    const column = isOurs ? before : batch.recordColumn('time');
    if (before !== undefined && !isOurs) {
      column.kind.set(before.kind);
      column.a.set(before.a);
      column.b.set(before.b);
    }
    batch.time = column;
    this.#column = column;
    return column;
  }
}
