// Columns are used again: one costs 9 bytes per row, and the first touch of fresh memory costs more than its use.

import { ABSENT, Column } from './column.ts';

/** Free columns by capacity (a power of two). */
const freeColumns = new Map<number, Column[]>();
/** Kept per capacity: many small batches are under way at once where peers send small messages. */
const freeColumnBytesMax = 8 * 1024 * 1024;

/** A column with all cells ABSENT. */
export function takeColumn(name: string, capacity: number): Column {
  const column = freeColumns.get(capacity)?.pop();
  if (column === undefined) return new Column(name, capacity);
  column.name = name;
  column.dictionary = undefined;
  column.kind.fill(ABSENT);
  return column;
}

/** Nobody may read or write the column afterwards. */
export function giveColumn(column: Column): void {
  let free = freeColumns.get(column.capacity);
  if (free === undefined) {
    free = [];
    freeColumns.set(column.capacity, free);
  }
  if (free.length * column.capacity * 9 < freeColumnBytesMax) free.push(column);
}
