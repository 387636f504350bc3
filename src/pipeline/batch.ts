// The batch: a table over bytes (README, "The batch"). Source bytes stay where they were read; a cell is a span of
// them, a number, or a code into a small dictionary. Nothing is decoded until somebody asks.

import { isUtf8 } from 'node:buffer';
import { buffers } from './buffers.ts';
import { cellValue, spelledNumber, textOf } from './cell_values.ts';
import { type Column, type Dictionary, HELD, INT, NESTED, NUMBER, TEXT } from './column.ts';
import { giveColumn, takeColumn } from './column_pool.ts';
import type { AnyValue, Attributes, LogRecord } from './record.ts';
import { recordOf } from './record_of.ts';
import { parsedTime, parseTime, toWords, words } from './time.ts';

/** What the bytes rowStart..rowEnd of a row are. */
export type RowSource = 'line' | 'als' | 'otlp' | 'none';

const nothing: Set<Column> = new Set();
const noFacts: Attributes = Object.freeze({});

/**
 * Rows over one chunk of bytes. A receiver makes it, processors add columns and narrow the selection, exporters read.
 * Rows keep the order in which they were read. `keep` moves nothing. A cell that is ABSENT says that the record has no
 * such field. Only the receiver that made a batch releases it, after `deliver` has resolved.
 */
export class Batch {
  /** Source bytes, with `slackBytes` readable beyond `length` (buffers.ts). */
  bytes: Buffer;
  /** Bytes of `bytes` that hold data. */
  length: number;
  readonly capacity: number;
  rows = 0;
  /** The span of a row's source: the line without framing and newline, or the protobuf message of an entry. */
  readonly rowStart: Int32Array;
  readonly rowEnd: Int32Array;
  source: RowSource = 'line';
  /** The selected rows, ascending: selection[0 .. count). Until something is dropped, all rows. */
  selection: Int32Array;
  count = 0;
  /** Fields in the order in which they are exported as attributes. */
  readonly columns: Column[] = [];
  /** Record fields that are no attributes. Undefined: see the reading methods for what then holds. */
  time: Column | undefined = undefined;
  severity: Column | undefined = undefined;
  body: Column | undefined = undefined;
  traceId: Column | undefined = undefined;
  spanId: Column | undefined = undefined;
  /** When the bytes were read, in milliseconds since 1970: OpenTelemetry's observed time. */
  observedMs = 0;
  /** Facts about where the records come from: pod, node, service. Per row only after a merge (`resourceOf`). */
  resources: Attributes[] = [noFacts];
  resourceOf: Uint16Array | undefined = undefined;
  /** Attributes that every row of the batch has: file path, peer address. Columns of the same name win. */
  attributes: Attributes = noFacts;
  /** Values that slow paths had to make, for HELD cells. */
  held: AnyValue[] = [];
  #byName: Map<string, Column> | undefined = undefined;
  #utf8: boolean | undefined = undefined;
  /** Columns that belong to the batch this one was forked from. */
  #borrowed: Set<Column> = nothing;
  #parent: Batch | undefined = undefined;
  /** Columns that `recordColumn` made. */
  readonly #recordColumns: Column[] = [];
  /** False: the bytes belong to somebody else and do not go to the pool on release. */
  ownsBytes = true;
  /** Somebody may look at it for longer than its receiver lives: nothing of it goes back to a pool. */
  abandoned = false;
  #holders = 1;

  /** A batch of at most `rows` rows over `bytes`; the receiver fills rowStart, rowEnd, then calls `filled`. */
  constructor(bytes: Buffer, length: number, rows: number) {
    this.bytes = bytes;
    this.length = length;
    this.capacity = Math.max(64, 2 ** Math.ceil(Math.log2(Math.max(1, rows))));
    this.rowStart = new Int32Array(this.capacity);
    this.rowEnd = new Int32Array(this.capacity);
    this.selection = new Int32Array(this.capacity);
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

  /** A new column, after the others, all cells ABSENT. The name must be new. */
  addColumn(name: string): Column {
    const column = takeColumn(name, this.capacity);
    this.columns.push(column);
    this.#byName?.set(name, column);
    return column;
  }

  /** A column that is no attribute (time, severity, body): the caller assigns it to its field. */
  recordColumn(name: string): Column {
    const column = takeColumn(name, this.capacity);
    this.#recordColumns.push(column);
    return column;
  }

  /** A new column of codes in `dictionary`. */
  addCodes(name: string, dictionary: Dictionary): Column {
    const column = this.addColumn(name);
    column.dictionary = dictionary;
    return column;
  }

  /** The column of a name, if any row may have that field. */
  column(name: string): Column | undefined {
    let byName = this.#byName;
    if (byName === undefined) {
      byName = new Map();
      for (const column of this.columns) byName.set(column.name, column);
      this.#byName = byName;
    }
    return byName.get(name);
  }

  /**
   * The column of a name for writing: made when missing, copied when it is shared with another fork, so that what is
   * written is seen by this batch only.
   */
  ownColumn(name: string): Column {
    const column = this.column(name);
    if (column === undefined) return this.addColumn(name);
    if (!this.#borrowed.has(column)) return column;
    const index = this.columns.indexOf(column);
    const own = takeColumn(name, this.capacity);
    own.kind.set(column.kind);
    own.a.set(column.a);
    own.b.set(column.b);
    own.dictionary = column.dictionary;
    this.columns[index] = own;
    this.#borrowed.delete(column);
    this.#byName?.set(name, own);
    return own;
  }

  /** Takes a column out of the record. Its cells are no longer exported. */
  removeColumn(name: string): void {
    const column = this.column(name);
    if (column === undefined) return;
    this.columns.splice(this.columns.indexOf(column), 1);
    this.#byName?.delete(name);
  }

  /** Gives a field another name, in its place. A column that has that name already is taken out. */
  renameColumn(name: string, to: string): void {
    if (name === to || this.column(name) === undefined) return;
    const column = this.ownColumn(name);
    this.removeColumn(to);
    column.name = to;
    this.#byName?.delete(name);
    this.#byName?.set(to, column);
  }

  /** Narrows the selection to the rows for which `keeps` is true. */
  keep(keeps: (row: number) => boolean): void {
    const selection = this.selection;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const row = selection[i]!;
      if (keeps(row)) selection[kept++] = row;
    }
    this.count = kept;
  }

  /**
   * A second view of the same rows with its own selection and column list: bytes and existing columns are shared and
   * must not be written (`ownColumn` copies). It lives no longer than this batch.
   */
  fork(): Batch {
    return new Batch(this.bytes, this.length, 1).#adopt(this);
  }

  #adopt(parent: Batch): Batch {
    const fork = this as Mutable<Batch>;
    fork.capacity = parent.capacity;
    fork.rowStart = parent.rowStart;
    fork.rowEnd = parent.rowEnd;
    fork.rows = parent.rows;
    fork.selection = parent.selection.slice();
    fork.count = parent.count;
    fork.source = parent.source;
    for (const column of parent.columns) this.columns.push(column);
    this.#borrowed = new Set(parent.columns);
    fork.time = parent.time;
    fork.severity = parent.severity;
    fork.body = parent.body;
    fork.traceId = parent.traceId;
    fork.spanId = parent.spanId;
    fork.observedMs = parent.observedMs;
    fork.resources = parent.resources;
    fork.resourceOf = parent.resourceOf;
    fork.attributes = parent.attributes;
    fork.held = parent.held.slice();
    this.#utf8 = parent.#utf8;
    this.#parent = parent;
    return this;
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
    for (const column of this.#recordColumns) {
      if (!this.columns.includes(column)) giveColumn(column);
    }
    for (const column of this.columns) if (!this.#borrowed.has(column)) giveColumn(column);
    this.#recordColumns.length = 0;
    this.columns.length = 0;
    this.#byName = undefined;
    if (this.#parent === undefined && this.ownsBytes) buffers.give(this.bytes);
  }

  /** Bytes of memory that the batch keeps alive, roughly. */
  get footprint(): number {
    return this.bytes.length + (this.columns.length + 3) * this.capacity * 9;
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

  /** A HELD cell: any value, for slow paths. */
  setValue(column: Column, row: number, value: AnyValue | undefined): void {
    if (value === undefined || value === null) column.clear(row);
    else if (typeof value === 'boolean') column.setBoolean(row, value);
    else if (typeof value === 'number' && Number.isSafeInteger(value)) column.setInt(row, value);
    else if (typeof value === 'number') column.setDouble(row, value);
    else if (typeof value === 'bigint') column.setBigInt(row, value);
    else {
      column.kind[row] = HELD;
      column.a[row] = this.held.length;
      this.held.push(value);
    }
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

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
