// The columns that enrich writes. A record that already says something keeps it: only what is missing is filled in.

import type { AddressCell } from '../../mesh/address_book.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, CODE, type Column, type Dictionary, TEXT } from '../../pipeline/column.ts';

/** One derived field over the batches that pass by. */
export class Output {
  readonly name: string;
  readonly isWanted: boolean;
  /** Whether rows of this batch may have brought a value along. */
  existed = false;
  #batch!: Batch;
  #dictionary!: Dictionary;
  #column: Column | undefined = undefined;

  constructor(name: string, isWanted: boolean) {
    this.name = name;
    this.isWanted = isWanted;
  }

  begin(batch: Batch, dictionary: Dictionary): void {
    this.#batch = batch;
    this.#dictionary = dictionary;
    this.#column = undefined;
    this.existed = batch.column(this.name) !== undefined;
  }

  /** The code of a name. */
  setCode(row: number, code: number): void {
    const column = this.#column ?? this.#open();
    if (this.existed && !this.#mayWrite(column, row, code)) return;
    column.kind[row] = CODE;
    column.a[row] = code;
  }

  /** A natural number below 2^31. */
  setInt(row: number, value: number): void {
    if (!this.isWanted) return;
    const column = this.#column ?? this.#open();
    if (!this.existed || column.kind[row] === ABSENT) column.setInt64(row, value, 0);
  }

  /** The IP of an address, without its port. */
  setIp(row: number, address: AddressCell): void {
    if (!this.isWanted || !address.isThere) return;
    const column = this.#column ?? this.#open();
    if (this.existed && column.kind[row] !== ABSENT) return;
    if (address.text === undefined) column.setSpan(row, TEXT, address.start, address.end);
    else this.#batch.setValue(column, row, address.text);
  }

  /** Takes away what a record brought along if it is `text`, or anything, so that a better value can be set. */
  clearIf(row: number, text: string | undefined): void {
    if (!this.existed || !this.isWanted) return;
    const column = this.#column ?? this.#open();
    if (text === undefined || this.#batch.text(column, row) === text) column.clear(row);
  }

  /** The column, if this batch got it from here. */
  get added(): Column | undefined {
    return this.existed ? undefined : this.#column;
  }

  /** Whether a code can be written as such; a column with another dictionary gets the value itself. */
  #mayWrite(column: Column, row: number, code: number): boolean {
    if (column.kind[row] !== ABSENT) return false;
    if (column.dictionary === this.#dictionary) return true;
    this.#batch.setValue(column, row, this.#dictionary.values[code]);
    return false;
  }

  /** The column for writing: made when missing. */
  open(): Column {
    return this.#column ?? this.#open();
  }

  #open(): Column {
    const column = this.#batch.ownColumn(this.name);
    column.dictionary ??= this.#dictionary;
    this.#column = column;
    return column;
  }
}

/** Puts the columns that a batch got into the order of `outputs`: rows open them in the order of their values. */
export function inOrder(batch: Batch, outputs: readonly Output[]): void {
  const added = outputs.map((output) => output.added).filter((column) => column !== undefined);
  if (added.length === 0) return;
  const kept = batch.columns.filter((column) => !added.includes(column));
  batch.columns.length = 0;
  batch.columns.push(...kept, ...added);
}
