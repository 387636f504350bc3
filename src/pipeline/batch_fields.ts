// The fields of a batch's rows, as columns. A decoder may leave them to whoever asks first.

import { type Column, type Dictionary, HELD } from './column.ts';
import { giveColumn, takeColumn } from './column_pool.ts';
import type { AnyValue } from './record.ts';

/** The fields of a record that are no attributes, by where a batch has them. */
export const recordFields = [
  'time',
  'observedTime',
  'severity',
  'body',
  'traceId',
  'spanId',
] as const;

/** Rows that nobody has looked into. What one of these fills in, any other of the same source can. */
export type Undecoded<Rows> = {
  /** Adds columns and record fields, once. What it spells stands behind `sourceLength`, within the batch's length. */
  fill(rows: Rows, undecoded: Undecoded<Rows>): void;
  /** By row, the bytes of its record as it came: they say all that its fields will. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Whether the records have their observed times; otherwise none has. */
  readonly observed: boolean;
  /** How many of the batch's bytes came in. */
  readonly sourceLength: number;
  /** How many columns there will be, roughly. */
  readonly columns: number;
};

const nothing: Set<Column> = new Set();

/** Columns by name and order, and the record fields. Asking for any of them decodes what is not decoded yet. */
export abstract class Fields {
  readonly capacity: number;
  /** Values that slow paths had to make, for HELD cells. */
  held: AnyValue[] = [];
  #pending = false;
  readonly #columns: Column[] = [];
  #time: Column | undefined = undefined;
  #observedTime: Column | undefined = undefined;
  #severity: Column | undefined = undefined;
  #body: Column | undefined = undefined;
  #traceId: Column | undefined = undefined;
  #spanId: Column | undefined = undefined;
  #byName: Map<string, Column> | undefined = undefined;
  /** Columns that belong to the batch this one was forked from. */
  #borrowed: Set<Column> = nothing;
  /** Columns that `recordColumn` made. */
  readonly #recordColumns: Column[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Fills in what was left undecoded. */
  protected abstract decode(): void;

  /** Leaves columns and record fields to `decode`, until somebody asks for them. */
  protected leave(): void {
    this.#pending = true;
  }

  #ask(): void {
    this.#pending = false;
    this.decode();
  }

  /** Fields in the order in which they are exported as attributes. */
  get columns(): Column[] {
    if (this.#pending) this.#ask();
    return this.#columns;
  }

  /** Record fields are no attributes. Undefined: see the reading methods of a batch for what then holds. */
  get time(): Column | undefined {
    if (this.#pending) this.#ask();
    return this.#time;
  }

  set time(column: Column | undefined) {
    if (this.#pending) this.#ask();
    this.#time = column;
  }

  /** When whoever saw a record first did; absent where nobody says so but the batch (`observedMs`). */
  get observedTime(): Column | undefined {
    if (this.#pending) this.#ask();
    return this.#observedTime;
  }

  set observedTime(column: Column | undefined) {
    if (this.#pending) this.#ask();
    this.#observedTime = column;
  }

  get severity(): Column | undefined {
    if (this.#pending) this.#ask();
    return this.#severity;
  }

  set severity(column: Column | undefined) {
    if (this.#pending) this.#ask();
    this.#severity = column;
  }

  get body(): Column | undefined {
    if (this.#pending) this.#ask();
    return this.#body;
  }

  set body(column: Column | undefined) {
    if (this.#pending) this.#ask();
    this.#body = column;
  }

  get traceId(): Column | undefined {
    if (this.#pending) this.#ask();
    return this.#traceId;
  }

  set traceId(column: Column | undefined) {
    if (this.#pending) this.#ask();
    this.#traceId = column;
  }

  get spanId(): Column | undefined {
    if (this.#pending) this.#ask();
    return this.#spanId;
  }

  set spanId(column: Column | undefined) {
    if (this.#pending) this.#ask();
    this.#spanId = column;
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
    const { columns } = this;
    let byName = this.#byName;
    if (byName === undefined) {
      byName = new Map();
      for (const column of columns) byName.set(column.name, column);
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

  /** Takes over the fields of another batch. Its columns stay its own: they must not be written (`ownColumn` copies). */
  protected borrow(from: Fields): void {
    const { columns } = from;
    for (const column of columns) this.#columns.push(column);
    this.#borrowed = new Set(columns);
    this.#time = from.time;
    this.#observedTime = from.observedTime;
    this.#severity = from.severity;
    this.#body = from.body;
    this.#traceId = from.traceId;
    this.#spanId = from.spanId;
    this.held = from.held.slice();
  }

  /** Gives the columns back to their pool. */
  protected giveColumns(): void {
    const columns = this.#columns;
    for (const column of this.#recordColumns) if (!columns.includes(column)) giveColumn(column);
    for (const column of columns) if (!this.#borrowed.has(column)) giveColumn(column);
    // Setting a length is slow, whatever it was.
    if (this.#recordColumns.length > 0) this.#recordColumns.length = 0;
    if (columns.length > 0) columns.length = 0;
    this.#byName = undefined;
    this.#pending = false;
  }
}
