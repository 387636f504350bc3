// The columns that enrich writes. A record that already says something keeps it: only what is missing is filled in.

import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, CODE, type Column, type Dictionary } from '../../pipeline/column.ts';

/** One derived field over the batches that pass by. */
export class Output {
  readonly name: string;
  readonly isWanted: boolean;
  #batch!: Batch;
  #dictionary!: Dictionary;
  #column: Column | undefined = undefined;
  /** Whether rows may have a value of their own. */
  #existed = false;

  constructor(name: string, isWanted: boolean) {
    this.name = name;
    this.isWanted = isWanted;
  }

  begin(batch: Batch, dictionary: Dictionary): void {
    this.#batch = batch;
    this.#dictionary = dictionary;
    this.#column = undefined;
    this.#existed = batch.column(this.name) !== undefined;
  }

  /** A column that this batch got from here. */
  get isNew(): boolean {
    return this.#column !== undefined && !this.#existed;
  }

  /** The code of a name; negative codes write nothing. */
  setCode(row: number, code: number): void {
    if (code < 0 || !this.isWanted) return;
    const column = this.#column ?? this.#open();
    if (this.#existed && column.kind[row] !== ABSENT) return;
    if (column.dictionary === this.#dictionary) {
      column.kind[row] = CODE;
      column.a[row] = code;
    } else this.#batch.setValue(column, row, this.#dictionary.values[code]);
  }

  /** Writes over what is there: for values that are put in other words. */
  replaceCode(row: number, code: number): void {
    const column = this.#column ?? this.#open();
    this.#batch.setValue(column, row, this.#dictionary.values[code]);
  }

  setInt(row: number, value: number): void {
    if (value < 0 || !this.isWanted) return;
    const column = this.#column ?? this.#open();
    if (!this.#existed || column.kind[row] === ABSENT) column.setInt(row, value);
  }

  /** Bytes start..end of the batch. */
  setText(row: number, kind: number, start: number, end: number): void {
    if (!this.isWanted) return;
    const column = this.#column ?? this.#open();
    if (!this.#existed || column.kind[row] === ABSENT) column.setSpan(row, kind, start, end);
  }

  #open(): Column {
    const column = this.#batch.ownColumn(this.name);
    if (column.dictionary === undefined) column.dictionary = this.#dictionary;
    this.#column = column;
    return column;
  }
}

/** Puts the columns that a batch got into the order of the vocabulary: rows open them in the order of their values. */
export function inOrder(batch: Batch, outputs: readonly Output[]): void {
  const fresh = outputs.filter((output) => output.isNew);
  if (fresh.length === 0) return;
  const columns = fresh.map((output) => batch.column(output.name)).filter((column) => !!column);
  const kept = batch.columns.filter((column) => !columns.includes(column));
  batch.columns.length = 0;
  batch.columns.push(...kept, ...columns);
}
