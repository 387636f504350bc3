import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { Dictionary, TEXT } from '../../src/pipeline/column.ts';
import { mergeBatches } from '../../src/pipeline/merge.ts';
import type { LogRecord } from '../../src/pipeline/record.ts';

const records = (batch: Batch): LogRecord[] =>
  [...batch.selection.subarray(0, batch.count)].map((row) => batch.record(row));

const shared = new Dictionary();

/** A batch of the shape that `seed` asks for: other columns, dictionaries, facts and selections each time. */
function made(seed: { lines: string[]; parsed: boolean; shape: number; keep: number }): Batch {
  const batch = Batch.ofLines(seed.lines);
  const dictionary = seed.shape % 2 === 0 ? shared : new Dictionary();
  const text = batch.addColumn('text');
  const time = seed.shape % 3 === 0 ? batch.recordColumn('t') : batch.addColumn('request.time');
  const code = batch.addCodes(seed.shape % 5 === 0 ? 'other' : 'code', dictionary);
  const held = batch.addColumn('held');
  for (let row = 0; row < batch.rows; row++) {
    if (row % 2 === 0) text.setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
    time.setInt(row, row * 1000 + seed.shape);
    code.setCode(row, dictionary.code(`value ${(row + seed.shape) % 3}`));
    if (row % 3 === 0) batch.setValue(held, row, { seed: seed.shape, row });
  }
  batch.time = time;
  if (seed.parsed) batch.body = batch.recordColumn('body');
  batch.attributes = seed.shape % 4 === 0 ? {} : { 'net.peer.ip': `10.0.0.${seed.shape % 3}` };
  batch.resource = { 'k8s.pod.name': `pod-${seed.shape % 2}` };
  batch.keep((row) => row % seed.keep === 0);
  return batch;
}

test('merge keeps every selected record as it was, in order', () => {
  const seed = fc.record({
    lines: fc.array(fc.string(), { minLength: 1, maxLength: 9 }),
    parsed: fc.boolean(),
    shape: fc.nat(30),
    keep: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(seed, { minLength: 1, maxLength: 6 }), (seeds) => {
      const wanted = seeds.flatMap((one) => records(made(one)));
      const merged = mergeBatches(seeds.map(made));
      expect(records(merged).map(({ observedTime: _, ...rest }) => rest)).toEqual(
        wanted.map(({ observedTime: _, ...rest }) => rest),
      );
    }),
  );
});
