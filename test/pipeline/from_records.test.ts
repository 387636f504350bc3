import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchOfRecords } from '../../src/pipeline/from_records.ts';
import { batchOf, recordsOf, shapes } from '../support/batches.ts';

test('from_records gives a batch that reads as the records it was made from', () => {
  fc.assert(
    fc.property(shapes, (seed) => {
      const records = recordsOf(batchOf(seed));
      expect(recordsOf(batchOfRecords(records))).toEqual(records);
    }),
  );
});
