import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeBatches } from '../../src/pipeline/merge.ts';
import { batchOf, recordsOf, shapes } from '../support/batches.ts';

test('merge keeps every selected record as it was, in order', () => {
  fc.assert(
    fc.property(fc.array(shapes, { minLength: 1, maxLength: 6 }), (seeds) => {
      const wanted = seeds.flatMap((seed) => recordsOf(batchOf(seed)));
      const merged = mergeBatches(seeds.map(batchOf));
      // A batch has one observed time: that of the first.
      expect(recordsOf(merged).map(({ observedTime: _, ...rest }) => rest)).toEqual(
        wanted.map(({ observedTime: _, ...rest }) => rest),
      );
    }),
  );
});
