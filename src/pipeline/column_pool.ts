// Columns and the places of rows are used again: a column costs 9 bytes per row, and the first touch of fresh memory costs
// more than its use.

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

/** Where the rows of a batch stand, and which of them are selected. */
export type Places = {
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly selection: Int32Array;
};

const freePlaces = new Map<number, Places[]>();
const freePlacesBytesMax = 1024 * 1024;

/** Places for so many rows (a power of two), with undefined content. */
export function takePlaces(capacity: number): Places {
  const free = freePlaces.get(capacity)?.pop();
  if (free !== undefined) return free;
  const memory = new ArrayBuffer(capacity * 12);
  return {
    start: new Int32Array(memory, 0, capacity),
    end: new Int32Array(memory, capacity * 4, capacity),
    selection: new Int32Array(memory, capacity * 8, capacity),
  };
}

/** Nobody may read or write the places afterwards. */
export function givePlaces(places: Places): void {
  const capacity = places.start.length;
  let free = freePlaces.get(capacity);
  if (free === undefined) {
    free = [];
    freePlaces.set(capacity, free);
  }
  if (free.length * capacity * 12 < freePlacesBytesMax) free.push(places);
}
