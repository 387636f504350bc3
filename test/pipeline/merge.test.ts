import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeBatches } from '../../src/pipeline/merge.ts';
import { batchOf, recordsOf, shapes } from '../support/batches.ts';

test('merge keeps every selected record as it was, in order', () => {
  fc.assert(
    fc.property(fc.array(shapes, { minLength: 1, maxLength: 6 }), (seeds) => {
      const batches = seeds.map(batchOf);
      const merged = mergeBatches(batches);
      // A batch has one observed time of its own: that of the first.
      for (const batch of batches) batch.observedMs = merged.observedMs;
      expect(recordsOf(merged)).toEqual(batches.flatMap(recordsOf));
    }),
  );
});
