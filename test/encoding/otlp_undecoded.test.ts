import { describe, expect, test } from 'vitest';
import { OtlpDecoder } from '../../src/encoding/otlp/decode.ts';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import type { Batch } from '../../src/pipeline/batch.ts';
import { mergeBatches } from '../../src/pipeline/merge.ts';
import { recordsOf } from '../support/batches.ts';
import { seenRecords } from '../support/otlp.ts';
import { line, low, request, spanId, text, time, traceId } from '../support/otlp_bytes.ts';

const encoder = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax: 1e7, version: '' });

describe('an undecoded batch', () => {
  const decoder = new OtlpDecoder('auto');
  const batchOf = (name: string): Batch => {
    const record = [...time, ...text('name', name), ...traceId, ...spanId];
    return decoder.decode([{ message: request([record, record, record]) }], 5).batches[0] as Batch;
  };

  test('is decoded for all of its forks when one of them asks, and each writes its own', () => {
    const batch = batchOf('a');
    const [left, right] = [batch.fork(), batch.fork()];
    const later = left.fork();
    left.ownColumn('name').setInt(0, 7);
    left.time = undefined;
    later.keep((row) => row === 0);
    for (const fork of [right, later]) {
      expect(fork.undecoded).toBeDefined();
      expect(fork.record(0)).toMatchObject({
        time: 1_700_000_000_000_000_001n,
        attributes: { name: 'a' },
        traceId: 'a7'.repeat(16),
      });
    }
    expect(left.record(0)).toMatchObject({ time: undefined, attributes: { name: 7 } });
  });

  test('is not decoded by being put together with others, counted or released', () => {
    const parts = [batchOf('a'), batchOf('b')].map((batch) => batch.fork());
    const merged = mergeBatches(parts);
    expect([merged.count, merged.footprint > 0, merged.isUtf8]).toEqual([6, true, true]);
    expect([...parts, merged].every(({ undecoded }) => undecoded !== undefined)).toBe(true);
    const { bytes } = encoder.encode(merged);
    for (const part of parts) part.release();
    expect(seenRecords(bytes).map(({ attributes }) => attributes['name'])).toEqual([
      'a',
      'a',
      'a',
      'b',
      'b',
      'b',
    ]);
    // It has bytes of its own.
    expect(recordsOf(merged).map(({ attributes, spanId }) => [attributes['name'], spanId])).toEqual(
      ['a', 'a', 'a', 'b', 'b', 'b'].map((name) => [name, '01'.repeat(8)]),
    );
  });

  test('is decoded when more is to be said of its records', () => {
    const names = (batch: Batch): string[] =>
      seenRecords(encoder.encode(batch).bytes).map(({ attributes }) =>
        Object.keys(attributes).join(),
      );
    const batch = batchOf('a');
    batch.attributes = { peer: 'x' };
    expect(names(batch)).toEqual(['name,peer', 'name,peer', 'name,peer']);
    const other = batchOf('b');
    other.attributes = { peer: 'y' };
    expect(names(mergeBatches([batchOf('a'), other])).at(-1)).toBe('name,peer');
    for (const attributes of ['none', 'all'] as const) {
      const kvlist = new OtlpEncoder({ body: 'fields', attributes, bytesMax: 1e7, version: '' });
      const [record] = seenRecords(kvlist.encode(batchOf('c')).bytes);
      expect([record?.body, record?.attributes]).toEqual([
        { name: 'c' },
        attributes === 'all' ? { name: 'c' } : {},
      ]);
    }
  });
  test('has a column for every key of all that were put together', () => {
    const parts = ['a', 'b'].map((letter) => {
      const keys = Array.from({ length: 400 }, (_, i) => text(`${letter}${i}`, low));
      return decoder.decode([{ message: request([keys.flat()]) }], 5).batches[0] as Batch;
    });
    const merged = mergeBatches(parts);
    expect(merged.undecoded).toBeDefined();
    expect([merged.record(0), merged.record(1)].map(({ attributes }) => attributes)).toEqual(
      ['a', 'b'].map((letter) =>
        Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`${letter}${i}`, low])),
      ),
    );
  });

  test('is passed on as lines whatever else would be the body', () => {
    const message = request([[...line('GET /'), ...text('a', low)]]);
    for (const body of ['none', 'line', 'fields'] as const) {
      const { batches } = decoder.decode([{ message }, { message }], 5);
      const merged = mergeBatches(batches.map((batch) => batch.fork()));
      expect(merged.source).toBe('line');
      const own = new OtlpEncoder({ body, attributes: 'all', bytesMax: 1e7, version: '' });
      const seen = seenRecords(own.encode(merged).bytes);
      expect(merged.undecoded).toBeDefined();
      expect(seen.map((record) => [record.body, record.attributes])).toEqual([
        ['GET /', { a: low }],
        ['GET /', { a: low }],
      ]);
      expect([merged.line(1), merged.record(1).attributes]).toEqual(['GET /', { a: low }]);
      expect(seenRecords(own.encode(merged).bytes)).toEqual(seen);
    }
  });

  test('is sent in requests that are not too large', () => {
    const small = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax: 150, version: '' });
    const batch = mergeBatches([batchOf('a'), batchOf('b')]);
    const names: unknown[] = [];
    for (let from = 0; from < batch.count; ) {
      const { bytes, next, records } = small.encode(batch, from);
      expect(bytes.length).toBeLessThanOrEqual(150);
      expect(records).toBe(next - from);
      names.push(seenRecords(bytes).map(({ attributes }) => attributes['name']));
      from = next;
    }
    expect(batch.undecoded).toBeDefined();
    expect(names).toEqual([
      ['a', 'a'],
      ['a', 'b'],
      ['b', 'b'],
    ]);
  });
});
