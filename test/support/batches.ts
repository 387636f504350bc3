// Batches of every shape, for property tests of what must carry them unchanged.

import fc from 'fast-check';
import { Batch } from '../../src/pipeline/batch.ts';
import { Dictionary, TEXT } from '../../src/pipeline/column.ts';
import type { LogRecord } from '../../src/pipeline/record.ts';

export type Shape = { lines: string[]; parsed: boolean; shape: number; keep: number };

export const shapes: fc.Arbitrary<Shape> = fc.record({
  lines: fc.array(fc.string(), { minLength: 1, maxLength: 9 }),
  parsed: fc.boolean(),
  shape: fc.nat(30),
  keep: fc.integer({ min: 1, max: 3 }),
});

const shared = new Dictionary();

/** A batch of the shape asked for: other columns, dictionaries, facts and selections each time. */
export function batchOf(seed: Shape): Batch {
  const batch = Batch.ofLines(seed.lines);
  const dictionary = seed.shape % 2 === 0 ? shared : new Dictionary();
  const text = batch.addColumn('text');
  const time = seed.shape % 3 === 0 ? batch.recordColumn('t') : batch.addColumn('request.time');
  const code = batch.addCodes(seed.shape % 5 === 0 ? 'other' : 'code', dictionary);
  const held = batch.addColumn('held');
  const observed = batch.recordColumn('o');
  for (let row = 0; row < batch.rows; row++) {
    if (row % 2 === 0) text.setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
    time.setInt(row, row * 1000 + seed.shape);
    if (row % 4 === 0) observed.setInt(row, row * 1000 + seed.shape);
    code.setCode(row, dictionary.code(`value ${(row + seed.shape) % 3}`));
    if (row % 3 === 0) batch.setValue(held, row, { seed: seed.shape, row, big: 2n ** 60n });
  }
  batch.time = time;
  if (seed.shape % 3 === 1) batch.observedTime = observed;
  if (seed.parsed) batch.body = batch.recordColumn('body');
  batch.observedMs = 1_700_000_000_000 + seed.shape;
  batch.attributes = seed.shape % 4 === 0 ? {} : { 'net.peer.ip': `10.0.0.${seed.shape % 3}` };
  batch.resource = { 'k8s.pod.name': `pod-${seed.shape % 2}` };
  if (seed.shape % 7 === 0) {
    batch.resources = [{ a: 1 }, { a: 2 }];
    batch.resourceOf = new Uint16Array(batch.capacity).map((_, row) => row % 2);
  }
  batch.keep((row) => row % seed.keep === 0);
  return batch;
}

/** The selected rows as plain records. */
export function recordsOf(batch: Batch): LogRecord[] {
  return [...batch.selection.subarray(0, batch.count)].map((row) => batch.record(row));
}
