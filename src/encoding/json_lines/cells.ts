// What the values of keys become: cells in the columns of a batch.

import { strict as assert } from 'node:assert';
import { codeOfFlags, flagLists, splitFlags } from '../../access_log/flag_lists.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, type Column, ESCAPED, FALSE, NUMBER, TEXT, TRUE } from '../../pipeline/column.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { skipLiteral, skipNumber } from './grammar.ts';
import { COUNT, FLAGS, KEEP, type Slot, SWITCH } from './keys.ts';

/** Columns that one batch may get from keys: a sender with random keys must not fill the memory. */
export const columnsMax = 512;

/** Writes the cells of one batch after the other. */
export class CellWriter {
  /** A row had a key for which no column was left. */
  isFull = false;
  #batch: Batch | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  /** Slots and columns in use in this batch. */
  #slots: Slot[] = [];
  readonly #columns = new Set<Column>();

  begin(batch: Batch): void {
    this.#batch = batch;
    this.#bytes = batch.bytes;
  }

  end(): void {
    for (const slot of this.#slots) {
      slot.column = undefined;
      slot.own = undefined;
      slot.plain = false;
      slot.row = -1;
    }
    this.#slots = [];
    this.#columns.clear();
    this.#batch = undefined;
  }

  /** Takes back what was written to a row. */
  clear(row: number): void {
    for (const column of this.#columns) column.clear(row);
    this.isFull = false;
  }

  /** A string without escapes. */
  text(slot: Slot, row: number, start: number, end: number): void {
    const bytes = this.#bytes;
    let kind: number = TEXT;
    switch (slot.conversion) {
      case COUNT:
        if (start < end && skipNumber(bytes, start, end) === end) kind = NUMBER;
        break;
      case FLAGS:
        return this.#flags(slot, row, start, end);
      case SWITCH:
        if (end - start === 4 && skipLiteral(bytes, start, end) === end) kind = TRUE;
        if (end - start === 5 && skipLiteral(bytes, start, end) === end) kind = FALSE;
        break;
      default:
        break;
    }
    this.put(slot, row, kind, start, end);
  }

  #flags(slot: Slot, row: number, start: number, end: number): void {
    const code = codeOfFlags(this.#bytes, start, end);
    if (code === -1) return this.absent(slot, row);
    if (code < 0) return this.#held(slot, row, splitFlags(this.#bytes.utf8Slice(start, end)));
    const column = this.#column(slot, row);
    if (column === undefined) return;
    column.dictionary = flagLists;
    column.setCode(row, code);
  }

  /** A string with valid escapes. */
  escaped(slot: Slot, row: number, start: number, end: number): void {
    // Six bytes can be an escaped `-`.
    if (slot.conversion === KEEP && end - start !== 6)
      return this.put(slot, row, ESCAPED, start, end);
    const text = JSON.parse(`"${this.#bytes.utf8Slice(start, end)}"`) as string;
    if (text === '-') this.absent(slot, row);
    else if (slot.conversion === COUNT && isNumber(text)) this.#held(slot, row, Number(text));
    else if (slot.conversion === FLAGS) this.#held(slot, row, splitFlags(text));
    else this.put(slot, row, ESCAPED, start, end);
  }

  /** `null`, or `-` as Envoy prints what is not there. */
  absent(slot: Slot, row: number): void {
    const column = slot.column;
    if (column === undefined) return;
    if (slot.shared) {
      if (slot.row !== row) return;
      slot.row = -1;
    }
    column.clear(row);
  }

  put(slot: Slot, row: number, kind: number, start: number, end: number): void {
    const column = slot.shared ? this.#column(slot, row) : (slot.column ?? this.#column(slot, row));
    if (column === undefined) return;
    column.kind[row] = kind;
    column.a[row] = start;
    column.b[row] = end;
  }

  #held(slot: Slot, row: number, value: AnyValue): void {
    const column = this.#column(slot, row);
    if (column !== undefined) this.#batch?.setValue(column, row, value);
  }

  /** Where the value of a key goes; undefined when the batch has too many columns. */
  #column(slot: Slot, row: number): Column | undefined {
    const column = slot.column ?? this.#open(slot);
    if (!slot.shared || column === undefined) return column;
    if (column.kind[row] === ABSENT || slot.row === row) {
      slot.row = row;
      return column;
    }
    slot.own ??= this.#add(slot.key);
    return slot.own;
  }

  #open(slot: Slot): Column | undefined {
    slot.column = this.#add(slot.name);
    slot.plain = slot.column !== undefined && slot.conversion === KEEP && !slot.shared;
    this.#slots.push(slot);
    return slot.column;
  }

  #add(name: string): Column | undefined {
    const batch = this.#batch;
    assert(batch !== undefined);
    if (batch.column(name) === undefined && batch.columns.length >= columnsMax) {
      this.isFull = true;
      return undefined;
    }
    const column = batch.ownColumn(name);
    this.#columns.add(column);
    return column;
  }
}

const isNumber = (text: string): boolean => {
  const bytes = Buffer.from(text);
  return text !== '' && skipNumber(bytes, 0, bytes.length) === bytes.length;
};
