// Batches from plain records, for tests of filters and processors: values stand in the batch as a parser leaves them.

import { codeOfFlagMask, flagLists } from '../../../src/access_log/flag_lists.ts';
import { maskOfFlags } from '../../../src/access_log/flags.ts';
import { Batch } from '../../../src/pipeline/batch.ts';
import { NESTED, NUMBER, TEXT } from '../../../src/pipeline/column.ts';
import type { AnyValue } from '../../../src/pipeline/record.ts';

export type PlainRecord = Readonly<Record<string, AnyValue>>;

/**
 * A batch with one column per key. `spans`: texts and numbers are bytes of the batch, as after parsing; `held`: they
 * are values that a slow path made.
 */
export function batchOf(records: readonly PlainRecord[], form: 'spans' | 'held' = 'spans'): Batch {
  const lines = records.map((record) => Object.values(record).map(sourceOf).join('|'));
  const batch = Batch.ofLines(lines);
  batch.body = batch.recordColumn('body');
  records.forEach((record, row) => {
    let at = batch.rowStart[row]!;
    for (const [name, value] of Object.entries(record)) {
      const end = at + Buffer.byteLength(sourceOf(value));
      write(batch, { name, value, row, at, end }, form);
      at = end + 1;
    }
  });
  return batch;
}

type Cell = { name: string; value: AnyValue; row: number; at: number; end: number };

function write(batch: Batch, cell: Cell, form: 'spans' | 'held'): void {
  const { name, value, row, at, end } = cell;
  if (name === 'response.flags' && Array.isArray(value)) {
    const code = codeOfFlagMask(maskOfFlags(value));
    const column = batch.column(name) ?? batch.addCodes(name, flagLists);
    if (code >= 0) column.setCode(row, code);
    return;
  }
  const column = batch.column(name) ?? batch.addColumn(name);
  if (form === 'held' || value === null || typeof value === 'boolean') {
    batch.setValue(column, row, value);
  } else if (typeof value === 'string') column.setSpan(row, TEXT, at, end);
  else column.setSpan(row, typeof value === 'object' ? NESTED : NUMBER, at, end);
}

function sourceOf(value: AnyValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
