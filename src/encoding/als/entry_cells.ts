// Where the values of entries go: columns by rule, opened when a row first has the field.

import { isUtf8 } from 'node:buffer';
import type { Batch } from '../../pipeline/batch.ts';
import { type Column, kinds } from '../../pipeline/column.ts';
import { Margin } from './margin.ts';
import type { Rule } from './rules.ts';

// Compiled code has constants of this module in it, and looks up those of others each time.
const { ABSENT, CODE, TEXT } = kinds;

export class EntryCells {
  /** Every text of the batch is valid UTF-8 so far. */
  isText = true;
  readonly batch: Batch;
  readonly margin: Margin;
  #open: Rule[] = [];

  /** Where the text that is appended for an entry must end: fields can stand many times, values count once. */
  marginMax = 0;
  /** The times of the rows, to the nanosecond. */
  readonly time: Column;

  constructor(batch: Batch) {
    this.batch = batch;
    this.margin = new Margin(batch);
    this.time = batch.time ?? batch.recordColumn('time');
    batch.time = this.time;
  }

  /** Makes room for text. False: the entry already has more than its bytes are worth. */
  room(count: number): boolean {
    this.margin.reserve(count);
    return this.margin.at <= this.marginMax;
  }

  /** The column of a rule. */
  column(rule: Rule): Column {
    let column = rule.column;
    if (column === undefined) {
      column = this.batch.ownColumn(rule.name);
      column.dictionary ??= rule.dictionary;
      rule.column = column;
      this.#open.push(rule);
    }
    return column;
  }

  /** Bytes start..end as text. */
  text(column: Column, row: number, start: number, end: number): void {
    column.kind[row] = TEXT;
    column.a[row] = start;
    column.b[row] = end;
    const { view } = this.margin;
    let seen = 0;
    let i = start;
    for (; i + 8 <= end; i += 8) seen |= view.getInt32(i, true) | view.getInt32(i + 4, true);
    if (i + 4 <= end) {
      seen |= view.getInt32(i, true);
      i += 4;
    }
    if (i < end) seen |= view.getInt32(i, true) & ((1 << ((end - i) * 8)) - 1);
    if ((seen & 0x80808080) !== 0) this.#check(start, end);
  }

  #check(start: number, end: number): void {
    if (this.isText && !isUtf8(this.margin.bytes.subarray(start, end))) this.isText = false;
  }

  /** Text that joins what the row already has with a comma. */
  joined(column: Column, row: number, start: number, end: number): void {
    if (column.kind[row] === ABSENT) return this.text(column, row, start, end);
    const { margin } = this;
    const from = margin.at;
    margin.copy(column.a[row]!, column.b[row]!);
    margin.byte(44);
    margin.copy(start, end);
    this.text(column, row, from, margin.at);
  }

  code(rule: Rule, row: number, code: number): void {
    const column = this.column(rule);
    if (column.dictionary === rule.dictionary) {
      column.kind[row] = CODE;
      column.a[row] = code;
    } else this.batch.setValue(column, row, rule.dictionary?.values[code]);
  }

  /** The batch is complete. */
  close(): void {
    for (const rule of this.#open) rule.column = undefined;
    this.#open = [];
    this.margin.close();
    if (this.isText) this.batch.claimUtf8();
  }
}
