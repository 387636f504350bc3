// SpanMemo over the cells of a column: what a value means is worked out once per distinct value, whatever its kind.

import type { Batch } from '../pipeline/batch.ts';
import { ABSENT, type Column, NESTED, TEXT } from '../pipeline/column.ts';
import { SpanMemo } from '../pipeline/span_memo.ts';

export class CellMemo<T> {
  readonly #memo: SpanMemo<T>;

  constructor(make: (text: string) => T, entriesMax?: number) {
    this.#memo = new SpanMemo((bytes, start, end) => make(bytes.utf8Slice(start, end)), entriesMax);
  }

  /** What the cell's value means; undefined when the row has none. `view` shows the batch's bytes. */
  at(batch: Batch, view: DataView, column: Column | undefined, row: number): T | undefined {
    if (column === undefined) return undefined;
    const kind = column.kind[row]!;
    if (kind === ABSENT) return undefined;
    if (kind === TEXT || kind === NESTED) {
      return this.#memo.get(batch.bytes, view, column.a[row]!, column.b[row]!);
    }
    const text = batch.text(column, row);
    return text === undefined ? undefined : this.#memo.getText(text);
  }

  of(text: string): T {
    return this.#memo.getText(text);
  }

  clear(): void {
    this.#memo.clear();
  }
}
