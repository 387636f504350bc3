import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSnapshot, writeSnapshot } from '../../src/pipeline/snapshot.ts';
import { batchOf, recordsOf, shapes } from '../support/batches.ts';

test('snapshot gives back every selected record as it was', () => {
  fc.assert(
    fc.property(shapes, fc.nat(40), (seed, headroom) => {
      const batch = batchOf(seed);
      const { table, bytes } = writeSnapshot(batch, headroom);
      const copy = Buffer.concat([table, bytes]);
      const again = readSnapshot(copy, headroom, copy.length);
      expect(recordsOf(again)).toEqual(recordsOf(batch));
      expect(again.source).toBe(batch.source);
    }),
  );
});
