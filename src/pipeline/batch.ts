// The batch: a table over bytes (README, "The batch"). Source bytes stay where they were read; a cell is a span of
// them, a number, or a code into a small dictionary. Nothing is decoded until somebody asks.

import { isUtf8 } from 'node:buffer';
import { Fields, type Undecoded } from './batch_fields.ts';
import { buffers } from './buffers.ts';
import { cellValue, spelledNumber, textOf } from './cell_values.ts';
import { type Column, HELD, INT, NESTED, NUMBER, TEXT } from './column.ts';
import { givePlaces, type Places, takePlaces } from './column_pool.ts';
import type { AnyValue, Attributes, LogRecord } from './record.ts';
import { recordOf } from './record_of.ts';
import { millisToWords, parsedTime, parseTime, toWords, words } from './time.ts';

/** What the bytes rowStart..rowEnd of a row are. */
export type RowSource = 'line' | 'als' | 'otlp' | 'none';

const noFacts: Attributes = Object.freeze({});
/**
 * Rows over one chunk of bytes. A receiver makes it, processors add columns and narrow the selection, exporters read.
 * Rows keep the order in which they were read. `keep` moves nothing. A cell that is ABSENT says that the record has no
 * such field. Only the receiver that made a batch releases it, after `deliver` has resolved.
 */
export class Batch extends Fields {
  /** Source bytes, with `slackBytes` readable beyond `length` (buffers.ts). */
  bytes: Buffer;
  /** Bytes of `bytes` that hold data. */
  length: number;
  rows = 0;
  /** The span of a row's source: the line without framing and newline, or the protobuf message of an entry. */
  readonly rowStart: Int32Array;
  readonly rowEnd: Int32Array;
  source: RowSource = 'line';
  /** The selected rows, ascending: selection[0 .. count). Until something is dropped, all rows. */
  selection: Int32Array;
  count = 0;
  /** When the bytes were read, in milliseconds since 1970: the observed time of rows that have none of their own. */
  observedMs = 0;
  /** Facts about where the records come from: pod, node, service. Per row only after a merge (`resourceOf`). */
  resources: Attributes[] = [noFacts];
  resourceOf: Uint16Array | undefined = undefined;
  /** Attributes that every row of the batch has: file path, peer address. Columns of the same name win. */
  attributes: Attributes = noFacts;
  /** Another view of the rows may read `selection`. */
  #sharesSelection = false;
  /** Those of its rows, unless it is a fork. They go back to their pool with the columns. */
  #places: Places | undefined = undefined;
  #utf8: boolean | undefined = undefined;
  #parent: Batch | undefined = undefined;
  #undecoded: Undecoded<Batch> | undefined = undefined;
  /** Of a fork that nobody has looked into: whose rows they are. */
  #origin: Batch | undefined = undefined;
  /** False: the bytes belong to somebody else and do not go to the pool on release. */
  ownsBytes = true;
  /** Somebody may look at it for longer than its receiver lives: nothing of it goes back to a pool. */
  abandoned = false;
  #holders = 1;

  /** A batch of at most `rows` rows over `bytes`; whoever makes it adds them. With `like`: the rows of that one. */
  constructor(bytes: Buffer, length: number, rows: number, like?: Batch) {
    super(like?.capacity ?? Math.max(64, 1 << (32 - Math.clz32(rows - 1))));
    this.bytes = bytes;
    this.length = length;
    if (like === undefined) this.#places = takePlaces(this.capacity);
    this.rowStart = like?.rowStart ?? this.#places!.start;
    this.rowEnd = like?.rowEnd ?? this.#places!.end;
    this.selection = like?.selection ?? this.#places!.selection;
  }

  /** A batch whose bytes come from the pool: copies `source`. For tests and low-volume receivers. */
  static ofLines(lines: readonly (string | Uint8Array)[]): Batch {
    const parts = lines.map((line) => (typeof line === 'string' ? Buffer.from(line) : line));
    const length = parts.reduce((sum, part) => sum + part.length + 1, 0);
    const bytes = buffers.take(length);
    const batch = new Batch(bytes, length, parts.length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      batch.addRow(at, at + part.length);
      at += part.length;
      bytes[at++] = 10;
    }
    return batch;
  }

  get resource(): Attributes {
    return this.resources[0] ?? noFacts;
  }

  set resource(facts: Attributes) {
    this.resources = [facts];
    this.resourceOf = undefined;
  }

  /** Appends a row and selects it. The caller respects `capacity`. */
  addRow(start: number, end: number): number {
    const row = this.rows++;
    this.rowStart[row] = start;
    this.rowEnd[row] = end;
    this.selection[this.count++] = row;
    return row;
  }

  /** What fills in the columns, while nobody has asked for one. */
  get undecoded(): Undecoded<Batch> | undefined {
    return this.#undecoded;
  }

  /** Leaves the columns of all rows to whoever asks first. */
  leaveUndecoded(undecoded: Undecoded<Batch>): void {
    this.#undecoded = undecoded;
    this.leave();
  }

  protected decode(): void {
    const undecoded = this.#undecoded;
    this.#undecoded = undefined;
    if (this.#origin !== undefined) this.borrow(this.#origin);
    else undecoded?.fill(this, undecoded);
    this.#origin = undefined;
  }

  /** Narrows the selection to the rows for which `keeps` is true. */
  keep(keeps: (row: number) => boolean): void {
    const before = this.selection;
    const selection = this.#sharesSelection ? new Int32Array(this.count) : before;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const row = before[i]!;
      if (keeps(row)) selection[kept++] = row;
    }
    this.selection = selection;
    this.#sharesSelection = false;
    this.count = kept;
  }

  /**
   * A second view of the same rows with its own selection and column list: bytes and existing columns are shared and
   * must not be written (`ownColumn` copies). It lives no longer than this batch.
   */
  fork(): Batch {
    const fork = new Batch(this.bytes, this.length, this.rows, this);
    fork.rows = this.rows;
    fork.count = this.count;
    fork.#sharesSelection = true;
    this.#sharesSelection = true;
    fork.source = this.source;
    if (this.#undecoded === undefined) fork.borrow(this);
    else {
      // Not this one's columns: what is written here later is not seen there.
      fork.#origin = this.#origin ?? this;
      fork.leaveUndecoded(this.#undecoded);
    }
    fork.observedMs = this.observedMs;
    fork.resources = this.resources;
    fork.resourceOf = this.resourceOf;
    fork.attributes = this.attributes;
    fork.#utf8 = this.#utf8;
    fork.#parent = this;
    return fork;
  }

  /** Keeps the batch, and what it is a fork of, beyond their release, until `letGo`: a reader that comes later. */
  retain(): void {
    this.#holders++;
    this.#parent?.retain();
  }

  /** Ends what `retain` began. */
  letGo(): void {
    const parent = this.#parent;
    this.release();
    parent?.letGo();
  }

  /** Gives bytes and columns back to their pools. The batch must not be used afterwards. */
  release(): void {
    this.#holders--;
    if (this.abandoned || this.#holders > 0) return;
    this.giveColumns();
    if (this.#places !== undefined) givePlaces(this.#places);
    this.#places = undefined;
    if (this.#parent === undefined && this.ownsBytes) buffers.give(this.bytes);
  }

  /** Bytes of memory that the batch keeps alive, roughly. */
  get footprint(): number {
    const columns = this.#undecoded?.columns ?? this.columns.length;
    return this.bytes.length + (columns + 3) * this.capacity * 9;
  }

  /** Says that every text cell is valid UTF-8 although the bytes as a whole are not: decoders of binary messages. */
  claimUtf8(): void {
    this.#utf8 = true;
  }

  /** Whether all source bytes are valid UTF-8. When not, TEXT cells have to be checked one by one. */
  get isUtf8(): boolean {
    this.#utf8 ??= isUtf8(this.bytes.subarray(0, this.length));
    return this.#utf8;
  }

  /** The value of a cell, decoded; undefined when the row has none. Invalid UTF-8 becomes U+FFFD. */
  value(column: Column | undefined, row: number): AnyValue | undefined {
    if (column === undefined) return undefined;
    return column.kind[row] === HELD
      ? this.held[column.a[row]!]
      : cellValue(this.bytes, column, row);
  }

  /** The text of a cell as a person would write it; undefined when the row has none. Lists join with a comma. */
  text(column: Column | undefined, row: number): string | undefined {
    if (column === undefined) return undefined;
    const kind = column.kind[row]!;
    if (kind === TEXT) return this.bytes.utf8Slice(column.a[row]!, column.b[row]!);
    if (kind === NUMBER || kind === NESTED) {
      return this.bytes.utf8Slice(column.a[row]!, column.b[row]!);
    }
    const value = this.value(column, row);
    return value === undefined || value === null ? undefined : textOf(value);
  }

  /** The number of a cell; NaN when it holds none. Text that spells a number counts, as in Istio's older JSON. */
  number(column: Column | undefined, row: number): number {
    if (column === undefined) return Number.NaN;
    const kind = column.kind[row]!;
    if (kind === NUMBER || kind === TEXT) {
      return spelledNumber(this.bytes, column.a[row]!, column.b[row]!);
    }
    if (kind === INT) return column.intAt(row);
    const value = this.value(column, row);
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : Number.NaN;
  }

  /** The time of a row as nanoseconds in `words` (time.ts). False when it has none. */
  timeWords(row: number): boolean {
    const column = this.time;
    if (column === undefined) return false;
    const kind = column.kind[row]!;
    if (kind === INT) {
      words.low = column.a[row]!;
      words.high = column.b[row]!;
      return true;
    }
    if (kind === TEXT && parseTime(this.bytes, column.a[row]!, column.b[row]!)) {
      toWords(parsedTime.seconds, parsedTime.nanos);
      return true;
    }
    return false;
  }

  /** OpenTelemetry's observed time of a row as nanoseconds in `words`: the first observer's, else ours. */
  observedWords(row: number): void {
    const own = this.observedTime;
    if (own?.kind[row] === INT) {
      words.low = own.a[row]!;
      words.high = own.b[row]!;
    } else millisToWords(this.observedMs);
  }

  /** The source line of a row, decoded. Only for batches whose source is 'line'. */
  line(row: number): string {
    return this.bytes.utf8Slice(this.rowStart[row]!, this.rowEnd[row]!);
  }

  /** One row as a plain OpenTelemetry record: for adapters and tests, not for the hot path. */
  record(row: number): LogRecord {
    return recordOf(this, row);
  }

  /** The body of a row: the cell of `body`, or, while nothing has parsed the batch, its line. */
  bodyValue(row: number): AnyValue | undefined {
    if (this.body !== undefined) return this.value(this.body, row);
    return this.source === 'line' ? this.line(row) : undefined;
  }
}
