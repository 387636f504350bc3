// Batches of numbered requests for tests of sampling: ids as Envoy makes them, and the settings as a user writes them.

import { createHash } from 'node:crypto';
import { Batch } from '../../../src/pipeline/batch.ts';
import { NUMBER, TEXT } from '../../../src/pipeline/column.ts';

export type Request = { readonly id?: string; readonly code?: number; readonly service?: string };

/** A UUID that is always the same for the same number. */
export function requestId(number: number): string {
  const hex = createHash('md5').update(String(number)).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

const order = ['id', 'code', 'service'] as const;
const names = { id: 'request.id', code: 'response.code', service: 'mesh.destination.service' };

export function requests(all: readonly Request[]): Batch {
  const batch = Batch.ofLines(
    all.map((one) => order.map((key) => String(one[key] ?? '')).join('|')),
  );
  batch.body = batch.recordColumn('body');
  const columns = order.map((key) => batch.addColumn(names[key]));
  all.forEach((one, row) => {
    let at = batch.rowStart[row]!;
    order.forEach((key, i) => {
      const end = at + String(one[key] ?? '').length;
      if (one[key] !== undefined) {
        columns[i]!.setSpan(row, key === 'code' ? NUMBER : TEXT, at, end);
      }
      at = end + 1;
    });
  });
  return batch;
}

/** The text of a field of every selected row. */
export function texts(batch: Batch, name: string): string[] {
  const column = batch.column(name);
  return Array.from(
    batch.selection.subarray(0, batch.count),
    (row) => batch.text(column, row) ?? '',
  );
}
