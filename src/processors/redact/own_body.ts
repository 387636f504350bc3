// The body of a batch, for writing.

import type { Batch } from '../../pipeline/batch.ts';
import { type Column, TEXT } from '../../pipeline/column.ts';

/** A record column of this batch alone: a body is shared with the batch that it was forked from. */
export function copyOf(batch: Batch, column: Column): Column {
  const own = batch.recordColumn(column.name);
  own.kind.set(column.kind);
  own.a.set(column.a);
  own.b.set(column.b);
  own.dictionary = column.dictionary;
  return own;
}

/** The line holds what was just taken out: from here on the record has no line, only fields and a body. */
export function hideLines(batch: Batch): void {
  if (batch.source !== 'line') return;
  if (batch.body === undefined) {
    const body = batch.recordColumn('body');
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      body.setSpan(row, TEXT, batch.rowStart[row]!, batch.rowEnd[row]!);
    }
    batch.body = body;
  }
  batch.source = 'none';
}
