import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OtlpEncoder, type OtlpEncoderOptions } from '../../src/encoding/otlp/encode.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { BYTES, Dictionary, ESCAPED, NESTED, NUMBER, TEXT } from '../../src/pipeline/column.ts';
import type { AnyValue } from '../../src/pipeline/record.ts';
import { oracleRequest, type SeenRecord, seenRecords } from '../support/otlp.ts';

function encoder(options: Partial<OtlpEncoderOptions> = {}): OtlpEncoder {
  return new OtlpEncoder({
    body: 'none',
    attributes: 'all',
    bytesMax: 4 * 1024 * 1024,
    version: '1.2.3',
    ...options,
  });
}

function seen(batch: Batch, options: Partial<OtlpEncoderOptions> = {}): SeenRecord[] {
  const request = encoder(options).encode(batch);
  const records = seenRecords(request.bytes);
  request.release();
  return records;
}

/** A batch of one line, its parts between `|` named for the cells that point at them. */
function parts(source: string): { batch: Batch; part: (n: number) => [number, number] } {
  const pieces = source.split('|');
  return {
    batch: Batch.ofLines([source]),
    part: (n) => {
      const before = pieces.slice(0, n).map((piece) => Buffer.byteLength(piece) + 1);
      const start = before.reduce((sum, length) => sum + length, 0);
      return [start, start + Buffer.byteLength(pieces[n] ?? '')];
    },
  };
}

/** A batch whose rows have been parsed: no row has its line as body. */
function parsed(batch: Batch): Batch {
  batch.body = batch.recordColumn('body');
  return batch;
}

test('otlp encodes every kind of cell with its type', () => {
  const { batch, part } = parts(
    'te"xt ä|a\\u0041\\n|-1.5e3|{"k":[null,1]}|007|9007199254740993|12',
  );
  parsed(batch);
  const dictionary = new Dictionary();
  batch.addColumn('text').setSpan(0, TEXT, ...part(0));
  batch.addColumn('escaped').setSpan(0, ESCAPED, ...part(1));
  batch.addColumn('number').setSpan(0, NUMBER, ...part(2));
  batch.addColumn('nested').setSpan(0, NESTED, ...part(3));
  batch.addColumn('zeros').setSpan(0, NUMBER, ...part(4));
  batch.addColumn('big').setSpan(0, NUMBER, ...part(5));
  batch.addColumn('digits').setSpan(0, NUMBER, ...part(6));
  batch.addColumn('bytes').setSpan(0, BYTES, ...part(6));
  batch.addColumn('int').setInt(0, 2 ** 40 + 1);
  batch.addColumn('negative').setInt(0, -3);
  batch.addColumn('least').setBigInt(0, -(2n ** 63n));
  batch.addColumn('double').setDouble(0, 3);
  batch.addColumn('flag').setBoolean(0, false);
  batch.addCodes('code', dictionary).setCode(0, dictionary.code(['UF', 'URX']));
  batch.setValue(batch.addColumn('held'), 0, { a: 1n, b: [true, 'x'] });
  batch.addColumn('absent');
  batch.resource = { 'k8s.pod.name': 'p', n: 4 };
  batch.attributes = { 'log.file.name': 'x.log', int: 'overridden', absent: 'from the batch' };
  batch.observedMs = 1000.5;
  expect(seen(batch)).toEqual([
    {
      time: 0n,
      observedTime: 1_000_500_000n,
      severityNumber: 0,
      severityText: '',
      body: undefined,
      attributes: {
        text: 'te"xt ä',
        escaped: 'aA\n',
        number: -1500,
        nested: { k: [undefined, 1n] },
        zeros: 7n,
        big: 9007199254740993n,
        digits: 12n,
        bytes: new Uint8Array([49, 50]),
        int: 2n ** 40n + 1n,
        negative: -3n,
        least: -(2n ** 63n),
        double: 3,
        flag: false,
        code: ['UF', 'URX'],
        held: { a: 1n, b: [true, 'x'] },
        absent: 'from the batch',
        'log.file.name': 'x.log',
      },
      resource: { 'k8s.pod.name': 'p', n: 4n },
      scope: 'meshlog 1.2.3',
      traceId: '',
      spanId: '',
    },
  ]);
});

test('otlp encodes time, severity and ids of a record', () => {
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const { batch, part } = parts(
    `2026-08-21T10:00:00.123456789Z|${trace}|B7AD6B7169203331|0000000000000000|zz`,
  );
  const rows = [0, 1, 2].map(() => batch.addRow(0, 1) - 1);
  parsed(batch);
  batch.time = batch.recordColumn('time');
  batch.time.setSpan(0, TEXT, ...part(0));
  batch.time.setInt(1, 1_000_000_007);
  batch.severity = batch.recordColumn('severity');
  batch.severity.setInt(0, 17);
  batch.severity.setInt(1, 99);
  batch.traceId = batch.recordColumn('trace');
  batch.traceId.setSpan(0, TEXT, ...part(1));
  batch.traceId.setSpan(1, TEXT, ...part(2));
  batch.traceId.setSpan(2, TEXT, ...part(3));
  batch.spanId = batch.recordColumn('span');
  batch.spanId.setSpan(0, TEXT, ...part(2));
  batch.spanId.setSpan(1, TEXT, ...part(4));
  batch.setValue(batch.spanId, 2, 'B7AD6B716920333x');
  const records = seen(batch);
  expect(rows.length + 1).toBe(records.length);
  expect(records[0]).toMatchObject({
    time: 1787306400123456789n,
    severityNumber: 17,
    severityText: 'ERROR',
    traceId: trace,
    spanId: 'b7ad6b7169203331',
  });
  expect(records[1]).toMatchObject({
    time: 1_000_000_007n,
    severityNumber: 0,
    traceId: '0000000000000000b7ad6b7169203331',
    spanId: '',
  });
  expect(records[2]).toMatchObject({ time: 0n, traceId: '', spanId: '' });
});

test('otlp sends the line as body only where nothing was understood, unless told otherwise', () => {
  const unparsed = Batch.ofLines(['first', 'second']);
  expect(seen(unparsed).map(({ body }) => body)).toEqual(['first', 'second']);

  const batch = parsed(Batch.ofLines(['{"a":"b"}', 'garbage']));
  batch.body?.setSpan(1, TEXT, 10, 17);
  batch.addColumn('a').setSpan(0, TEXT, 6, 7);
  const bodies = (options: Partial<OtlpEncoderOptions>): unknown[] =>
    seen(batch, options).map(({ body }) => body);
  expect(bodies({})).toEqual([undefined, 'garbage']);
  expect(bodies({ body: 'line' })).toEqual(['{"a":"b"}', 'garbage']);
  expect(bodies({ body: 'fields' })).toEqual([{ a: 'b' }, 'garbage']);
  expect(seen(batch, { attributes: 'none' }).map(({ attributes }) => attributes)).toEqual([{}, {}]);
});

test('otlp takes the writers of a body and of attributes that it is given', () => {
  const batch = parsed(Batch.ofLines(['x', 'y']));
  const records = seen(batch, {
    body: {
      prepare: () => undefined,
      write: (out, row) => out.put(Buffer.from([2, 0x18, row])),
    },
    attributes: {
      prepare: () => undefined,
      write: (out) => out.put(Buffer.from([0x32, 8, 0x0a, 1, 107, 0x12, 3, 0x0a, 1, 118])),
    },
  });
  expect(records.map(({ body }) => body)).toEqual([0n, 1n]);
  expect(records.map(({ attributes }) => attributes)).toEqual([{ k: 'v' }, { k: 'v' }]);
});

test('otlp replaces what is not valid UTF-8 and leaves the rest', () => {
  const batch = Batch.ofLines([Buffer.from('aé\xff', 'latin1'), 'ä', 'plain']);
  const column = batch.addColumn('path');
  for (let row = 0; row < 3; row++) {
    column.setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
  }
  const records = seen(batch);
  expect(records.map(({ body }) => body)).toEqual(['a\ufffd\ufffd', 'ä', 'plain']);
  expect(records.map(({ attributes }) => attributes['path'])).toEqual([
    'a\ufffd\ufffd',
    'ä',
    'plain',
  ]);
});

test('otlp keeps rows of one resource together and in order', () => {
  const batch = parsed(Batch.ofLines(['0', '1', '2', '3', '4', '5']));
  const column = batch.addColumn('n');
  for (let row = 0; row < 6; row++) column.setInt(row, row);
  batch.resources = [{ pod: 'a' }, { pod: 'b' }, { pod: 'c' }];
  batch.resourceOf = new Uint16Array(batch.capacity);
  batch.resourceOf.set([1, 0, 1, 2, 0, 1]);
  batch.keep((row) => row !== 3);
  const request = encoder().encode(batch);
  expect(oracleRequest(request.bytes).resourceLogs?.length).toBe(2);
  expect(
    seenRecords(request.bytes).map(({ resource, attributes }) => [
      resource['pod'],
      attributes['n'],
    ]),
  ).toEqual([
    ['a', 1n],
    ['a', 4n],
    ['b', 0n],
    ['b', 2n],
    ['b', 5n],
  ]);
});

test('otlp starts a new request before one would be too large, and sends a giant alone', () => {
  const sizes = [100, 300, 5000, 20, 20, 900, 16_500, 1];
  const batch = Batch.ofLines(sizes.map((size, i) => String(i).repeat(size)));
  batch.resources = [{ pod: 'a' }, { pod: 'b' }];
  batch.resourceOf = new Uint16Array(batch.capacity);
  batch.resourceOf.set([0, 0, 0, 0, 1, 1, 1, 1]);
  const limited = encoder({ bytesMax: 1000 });
  const groups: number[][] = [];
  for (let from = 0; from < batch.count; ) {
    const request = limited.encode(batch, from);
    const records = seenRecords(request.bytes);
    expect(records.length).toBe(request.records);
    if (records.length > 1) expect(request.bytes.length).toBeLessThanOrEqual(1000);
    groups.push(records.map(({ body }) => String(body).length));
    from = request.next;
    request.release();
  }
  expect(groups).toEqual([[100, 300], [5000], [20, 20], [900], [16_500], [1]]);
});

test('otlp sends what is nested too deeply as JSON text', () => {
  const nest = (levels: number): string => `${'['.repeat(levels)}"[["${']'.repeat(levels)}`;
  const lines = [nest(24), nest(25), nest(5000)];
  const batch = parsed(Batch.ofLines(lines));
  const column = batch.addColumn('deep');
  for (let row = 0; row < 3; row++) {
    column.setSpan(row, NESTED, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
  }
  let held: AnyValue = 1;
  for (let level = 0; level < 30; level++) held = [held];
  batch.setValue(batch.addColumn('held'), 0, held);
  const records = seen(batch);
  expect(JSON.stringify(records[0]?.attributes['deep'])).toBe(lines[0]);
  expect(records[1]?.attributes['deep']).toBe(lines[1]);
  expect(records[2]?.attributes['deep'] === lines[2]).toBe(true);
  expect(JSON.stringify(records[0]?.attributes['held'])).toBe(
    JSON.stringify(JSON.parse(`${'['.repeat(24)}"[[[[[[1]]]]]]"${']'.repeat(24)}`)),
  );
});

const anyValue: fc.Arbitrary<AnyValue> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    // A column keeps -0 as the integer 0.
    fc.double({ noNaN: true }).map((value) => (value === 0 ? 0 : value)),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.boolean(),
    fc.uint8Array(),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 5 }),
  ),
})).value as fc.Arbitrary<AnyValue>;

/** A value as the oracle shows it: whole numbers are integers. */
function asSeen(value: AnyValue | undefined): unknown {
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
  }
  if (Array.isArray(value)) return value.map((item) => asSeen(item as AnyValue));
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value;
  const map: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    Object.defineProperty(map, key, { value: asSeen(item as AnyValue), enumerable: true });
  }
  return map;
}

test('otlp encodes any values so that an independent decoder reads them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string({ maxLength: 200 }), anyValue, { maxKeys: 6 }), {
        minLength: 1,
        maxLength: 8,
      }),
      fc.integer({ min: 200, max: 100_000 }),
      (rows, bytesMax) => {
        const batch = parsed(Batch.ofLines(rows.map(() => 'x')));
        rows.forEach((row, i) => {
          for (const [name, value] of Object.entries(row)) {
            batch.setValue(batch.column(name) ?? batch.addColumn(name), i, value);
          }
        });
        const one = encoder({ bytesMax });
        const records: SeenRecord[] = [];
        for (let from = 0; from < batch.count; ) {
          const request = one.encode(batch, from);
          records.push(...seenRecords(request.bytes));
          from = request.next;
          request.release();
        }
        const found = records.map(({ attributes }) => ({ ...attributes }));
        expect(found).toEqual(rows.map((row) => ({ ...(asSeen(row) as object) })));
      },
    ),
    { numRuns: 300 },
  );
});

test('otlp encodes random bytes as text that is always valid', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: 'binary', maxLength: 300 })),
        { minLength: 1, maxLength: 10 },
      ),
      (values) => {
        const lines = values.map((value) =>
          typeof value === 'string' ? Buffer.from(value) : Buffer.from(value),
        );
        const batch = Batch.ofLines(lines);
        const column = batch.addColumn('x');
        lines.forEach((_, row) => {
          column.setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
        });
        const records = seen(batch);
        expect(records.map(({ body }) => body)).toEqual(lines.map((line) => line.toString()));
        expect(records.map(({ attributes }) => attributes['x'])).toEqual(
          lines.map((line) => line.toString()),
        );
      },
    ),
    { numRuns: 300 },
  );
});
