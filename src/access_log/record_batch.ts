// A batch made of plain values: records that come back in as JSON, and tests.

import { Batch } from '../pipeline/batch.ts';
import { TEXT } from '../pipeline/column.ts';
import type { AnyValue } from '../pipeline/record.ts';

/** One record: values by field name; null and undefined are absent. `request.time` is the time of the record. */
export type Fields = { readonly [name: string]: AnyValue | undefined };

/** A batch with one row per record. Texts (and byte arrays in their place) become spans, as a parser would leave them. */
export function batchOfRecords(records: readonly Fields[]): Batch {
  const lines = records.map((record) => {
    const parts = Object.values(record).flatMap((value) => {
      if (typeof value === 'string') return [Buffer.from(value)];
      return value instanceof Uint8Array ? [value] : [];
    });
    return Buffer.concat(parts);
  });
  const batch = Batch.ofLines(lines);
  batch.source = 'none';
  records.forEach((record, row) => {
    fill(batch, row, record);
  });
  const time = batch.column('request.time');
  if (time !== undefined) batch.time = time;
  return batch;
}

function fill(batch: Batch, row: number, record: Fields): void {
  let at = batch.rowStart[row] ?? 0;
  for (const [name, value] of Object.entries(record)) {
    if (value === undefined || value === null) continue;
    const column = batch.ownColumn(name);
    const length =
      typeof value === 'string'
        ? Buffer.byteLength(value)
        : value instanceof Uint8Array
          ? value.length
          : -1;
    if (length < 0) batch.setValue(column, row, value);
    else {
      column.setSpan(row, TEXT, at, at + length);
      at += length;
    }
  }
}
