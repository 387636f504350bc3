import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Decoded, OtlpDecoder, type Reading } from '../../src/encoding/otlp/decode.ts';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import { grouped } from '../../src/pipeline/merge.ts';
import type { LogRecord } from '../../src/pipeline/record.ts';
import { recordsOf } from '../support/batches.ts';
import { oracleBytes, type SeenRecord, seenRecords } from '../support/otlp.ts';

function decoded(
  bytes: Uint8Array,
  accessLogs: 'auto' | 'always' | 'never' = 'auto',
): Decoded & Reading & { rows: LogRecord[] } {
  const result = new OtlpDecoder(accessLogs).decode([{ message: bytes }], 5);
  const [reading] = result.readings;
  if (reading === undefined || reading.records < 0) throw new Error('not a request');
  const rows = result.batches.flatMap((batch) =>
    Array.from(batch.selection.subarray(0, batch.count), (row) => batch.record(row)),
  );
  return { ...result, ...reading, rows };
}

const text = (stringValue: string) => ({ stringValue });
const attribute = (key: string, value: object) => ({ key, value });
const request = (...logRecords: object[]) =>
  oracleBytes({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] });

test('otlp reads every part of a record', () => {
  const { rows, records, rejected } = decoded(
    oracleBytes({
      resourceLogs: [
        {
          resource: { attributes: [attribute('service.name', text('shop'))] },
          scopeLogs: [
            {
              scope: {
                name: 'lib',
                version: '2',
                attributes: [attribute('scope.kind', text('x'))],
              },
              logRecords: [
                {
                  timeUnixNano: '1544712660300000001',
                  observedTimeUnixNano: '9',
                  severityNumber: 13,
                  severityText: 'Warning',
                  body: text('hello'),
                  attributes: [
                    attribute('s', text('ä')),
                    attribute('empty', text('')),
                    attribute('b', { boolValue: false }),
                    attribute('i', { intValue: '-9007199254740993' }),
                    attribute('d', { doubleValue: 3 }),
                    attribute('bytes', { bytesValue: Buffer.from([0, 255]) }),
                    attribute('list', { arrayValue: { values: [text('a'), { intValue: 1 }] } }),
                    attribute('map', { kvlistValue: { values: [attribute('k', text('v'))] } }),
                    attribute('nothing', {}),
                  ],
                  droppedAttributesCount: 3,
                  flags: 1,
                  traceId: Buffer.from('0af7651916cd43dd8448eb211c80319c', 'hex'),
                  spanId: Buffer.from('b7ad6b7169203331', 'hex'),
                  eventName: 'page',
                },
              ],
            },
          ],
        },
      ],
    }),
  );
  expect({ records, rejected }).toEqual({ records: 1, rejected: 0 });
  expect(rows).toEqual([
    {
      time: 1544712660300000001n,
      observedTime: 9n,
      severityNumber: 13,
      severityText: 'WARN',
      body: 'hello',
      attributes: {
        s: 'ä',
        empty: '',
        b: false,
        i: -9007199254740993n,
        d: 3,
        bytes: new Uint8Array([0, 255]),
        list: ['a', 1],
        map: { k: 'v' },
        nothing: null,
        'otlp.dropped_attributes_count': 3,
        'trace.flags': 1,
        'event.name': 'page',
        'severity.text': 'Warning',
      },
      resource: {
        'service.name': 'shop',
        'otel.scope.name': 'lib',
        'otel.scope.version': '2',
        'otel.scope.attributes': { 'scope.kind': 'x' },
      },
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
    },
  ]);
});

test('otlp leaves the observed time to who observed first, and is no other time', () => {
  const { batches, rows } = decoded(
    request({ observedTimeUnixNano: '77' }, { timeUnixNano: '1' }, { observedTimeUnixNano: '0' }),
  );
  const seen = rows.map(({ time, observedTime }) => [time, observedTime]);
  const wanted = [
    [undefined, 77n],
    [1n, 5_000_000n],
    [undefined, 5_000_000n],
  ];
  expect(seen).toEqual(wanted);
  const [batch] = batches;
  expect(batch?.observedMs).toBe(5);
  const merged = grouped([batch!, batch!]).whole.flatMap(recordsOf);
  expect(merged.map(({ time, observedTime }) => [time, observedTime])).toEqual([
    ...wanted,
    ...wanted,
  ]);
});

test('otlp keeps rows with a text body apart from rows without: only they are lines', () => {
  const { batches, rows } = decoded(
    request({ body: text('one') }, { body: { intValue: 2 } }, { body: text('three') }, {}),
  );
  expect(batches.map(({ source, count }) => [source, count])).toEqual([
    ['line', 2],
    ['otlp', 2],
  ]);
  expect(rows.map(({ body }) => body)).toEqual(['one', 'three', 2, undefined]);
  expect(batches[0]?.line(0)).toBe('one');
});

test('otlp leaves scopes out before they fill the memory with the facts of their resource', () => {
  const attributes = Array.from({ length: 1000 }, (_, i) => attribute(`key${i}`, text('x')));
  const scopeLogs = Array.from({ length: 1000 }, (_, i) => {
    return { scope: { name: `scope${i}` }, logRecords: [{ body: text('line') }] };
  });
  const { batches, rows } = decoded(
    oracleBytes({ resourceLogs: [{ resource: { attributes }, scopeLogs }] }),
  );
  const scopes = rows.map(({ resource }) => resource['otel.scope.name']);
  expect(scopes.slice(0, 250)).toEqual(scopeLogs.slice(0, 250).map(({ scope }) => scope.name));
  expect(scopes.slice(300).some((name) => name !== undefined)).toBe(false);
  expect(batches.map(({ resources }) => resources.length < 300)).toEqual([true]);
});

test('otlp gives the same resource the same object, in one request and in the next', () => {
  const bytes = oracleBytes({
    resourceLogs: ['a', 'b', 'a'].map((name) => ({
      resource: { attributes: [attribute('pod', text(name))] },
      scopeLogs: [{ logRecords: [{ body: text(name) }] }],
    })),
  });
  const decoder = new OtlpDecoder('auto');
  const [first] = decoder.decode([{ message: bytes }], 0).batches;
  const [second] = decoder.decode([{ message: bytes }], 0).batches;
  expect(first?.resources).toEqual([{ pod: 'a' }, { pod: 'b' }]);
  expect(Array.from(first?.resourceOf?.subarray(0, 3) ?? [])).toEqual([0, 1, 0]);
  expect(second?.resources[0]).toBe(first?.resources[0]);
});

const envoyLabels = [
  attribute('log_name', text('otel_envoy_accesslog')),
  attribute('zone_name', text('')),
  attribute('cluster_name', text('reviews.default')),
  attribute('node_name', text('sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local')),
];

test('otlp gives the access logs of Envoy the names and types of the vocabulary', () => {
  const bytes = oracleBytes({
    resourceLogs: [
      {
        resource: { attributes: [...envoyLabels, attribute('mesh', text('m'))] },
        scopeLogs: [
          {
            logRecords: [
              {
                timeUnixNano: '1',
                body: {
                  kvlistValue: {
                    values: [attribute('method', text('GET')), attribute('authority', text('-'))],
                  },
                },
                attributes: [
                  attribute('response_code', text('503')),
                  attribute('duration', text('12.5')),
                  attribute('response_flags', text('UF,URX')),
                  attribute('upstream_host', text('-')),
                  attribute('bytes_sent', text('many')),
                  attribute('own', text('7')),
                ],
              },
              { attributes: [attribute('response_flags', text('-'))] },
            ],
          },
        ],
      },
    ],
  });
  const { rows } = decoded(bytes);
  expect(rows[0]).toMatchObject({
    body: undefined,
    attributes: {
      'request.method': 'GET',
      'response.code': 503,
      'request.duration': 12.5,
      'response.flags': ['UF', 'URX'],
      'response.size': 'many',
      own: '7',
    },
    resource: {
      'envoy.log_name': 'otel_envoy_accesslog',
      'envoy.node.cluster': 'reviews.default',
      'envoy.node.id': 'sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local',
      mesh: 'm',
    },
  });
  expect(Object.keys(rows[0]?.attributes ?? {})).not.toContain('upstream.address');
  expect(rows[1]?.attributes).toEqual({});
  expect(decoded(bytes, 'never').rows[0]?.attributes).toMatchObject({
    response_code: '503',
    upstream_host: '-',
  });
});

test('otlp reads access logs without labels when told that they are', () => {
  const bytes = request({ attributes: [attribute('response_code', text('200'))] });
  expect(decoded(bytes).rows[0]?.attributes).toEqual({ response_code: '200' });
  expect(decoded(bytes, 'always').rows[0]?.attributes).toEqual({ 'response.code': 200 });
});

test('otlp keeps both of two keys that mean one field', () => {
  const bytes = request(
    { attributes: [attribute('response_code', text('1')), attribute('respCode', text('2'))] },
    { attributes: [attribute('respCode', text('3'))] },
  );
  expect(decoded(bytes, 'always').rows.map(({ attributes }) => attributes)).toEqual([
    { 'response.code': 1, respCode: 2 },
    { 'response.code': 3 },
  ]);
});

test('otlp keeps attributes for which no column is left', () => {
  const keys = Array.from({ length: 600 }, (_, i) => `key${i}`);
  const { rows } = decoded(
    request(
      { attributes: keys.map((key, i) => attribute(key, { intValue: i })) },
      { attributes: [attribute('key1', text('x')), attribute('key599', text('y'))] },
    ),
  );
  expect(Object.keys(rows[0]?.attributes ?? {}).length).toBe(513);
  expect(rows[0]?.attributes['key511']).toBe(511);
  expect(rows[0]?.attributes['otlp.attributes']).toMatchObject({ key512: 512, key599: 599 });
  expect(rows[1]?.attributes).toEqual({ key1: 'x', 'otlp.attributes': { key599: 'y' } });
});

test('otlp rejects a malformed record and takes the others', () => {
  const good = Buffer.from([0x2a, 3, 0x0a, 1, 120]);
  const bad = Buffer.from([0x32, 4, 0x0a, 9, 120, 120]);
  const record = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x12, bytes.length]), bytes]);
  const records = Buffer.concat([record(good), record(bad), record(good)]);
  const scope = Buffer.concat([Buffer.from([0x12, records.length]), records]);
  const bytes = Buffer.concat([Buffer.from([0x0a, scope.length]), scope]);
  const result = decoded(bytes);
  expect({ records: result.records, rejected: result.rejected }).toEqual({
    records: 3,
    rejected: 1,
  });
  expect(result.rows.map(({ body }) => body)).toEqual(['x', 'x']);
});

describe('otlp refuses what is no request', () => {
  for (const [name, bytes] of [
    ['a field without its end', [0x0a, 5, 1]],
    ['a number where records are', [0x0a, 4, 0x12, 2, 0x10, 1]],
    ['field number 0', [0x02, 0]],
    ['a group', [0x0b]],
    ['an endless varint', Array.from({ length: 12 }, () => 0xff)],
    ['text', Array.from(Buffer.from('GET / HTTP/1.1'))],
  ] as const) {
    test(name, () => {
      const message = Uint8Array.from(bytes);
      const other = { message: request({ body: text('x') }) };
      const { readings, batches } = new OtlpDecoder('auto').decode([other, { message }, other], 0);
      expect(readings.map(({ records }) => records)).toEqual([1, -1, 1]);
      expect(batches.map(({ count }) => count)).toEqual([2]);
    });
  }

  test('but not an empty one', () => {
    expect(decoded(new Uint8Array(0))).toMatchObject({ records: 0, rejected: 0, batches: [] });
  });
});

const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'grapheme', maxLength: 200 }).map((stringValue) => ({ stringValue })),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => ({ intValue: String(n) })),
    fc.double().map((doubleValue) => ({ doubleValue })),
    fc.boolean().map((boolValue) => ({ boolValue })),
    fc.uint8Array().map((bytes) => ({ bytesValue: Buffer.from(bytes) })),
    fc.array(tie('value'), { maxLength: 4 }).map((values) => ({ arrayValue: { values } })),
    pairs(tie('value')).map((values) => ({ kvlistValue: { values } })),
  ),
})).value as fc.Arbitrary<object>;

function pairs(of: fc.Arbitrary<unknown>): fc.Arbitrary<object[]> {
  return fc.uniqueArray(
    fc.record({
      key: fc.string({ maxLength: 150 }).filter((key) => key !== '__proto__'),
      value: of,
    }),
    { maxLength: 5, selector: ({ key }) => key },
  );
}

const randomRequest = fc.record({
  resourceLogs: fc.array(
    fc.record({
      resource: fc.record({ attributes: pairs(value) }),
      scopeLogs: fc.array(
        fc.record({
          logRecords: fc.array(
            fc.record(
              {
                timeUnixNano: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String),
                severityNumber: fc.integer({ min: 1, max: 24 }),
                body: value,
                attributes: pairs(value),
                traceId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
              },
              { requiredKeys: [] },
            ),
            { maxLength: 6 },
          ),
        }),
        { maxLength: 2 },
      ),
    }),
    { maxLength: 3 },
  ),
});

/** What does not depend on how numbers and order are written. */
function essence(records: SeenRecord[]): string[] {
  return records
    .map(({ observedTime: _, scope: __, severityText: ___, ...rest }) =>
      JSON.stringify(
        sorted({ ...rest, traceId: /^0+$/.test(rest.traceId) ? '' : rest.traceId }),
        (_key, item) =>
          typeof item === 'bigint'
            ? `${item}n`
            : typeof item === 'number'
              ? Number.isSafeInteger(item)
                ? `${item}n`
                : `${item}d`
              : (item as unknown),
      ),
    )
    .sort();
}

function sorted(item: unknown): unknown {
  if (Array.isArray(item)) return item.map(sorted);
  if (typeof item !== 'object' || item === null || item instanceof Uint8Array) return item;
  const map = item as Record<string, unknown>;
  return Object.keys(map)
    .sort()
    .map((key) => [key, sorted(map[key])]);
}

test('otlp decodes and encodes any request so that an independent decoder sees the same', () => {
  const decoder = new OtlpDecoder('never');
  const encoder = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax: 1e7, version: '' });
  fc.assert(
    fc.property(randomRequest, (random) => {
      const bytes = oracleBytes(random);
      const { batches, release } = decoder.decode([{ message: bytes }], 0);
      const seen = batches.flatMap((batch) => seenRecords(encoder.encode(batch).bytes));
      expect(essence(seen)).toEqual(essence(seenRecords(bytes)));
      release();
    }),
    { numRuns: 400 },
  );
});

test('otlp reads several messages into one batch, each with its own resource and its own bad records', () => {
  const message = (name: string, ...logRecords: object[]) =>
    oracleBytes({
      resourceLogs: [
        { resource: { attributes: [attribute('name', text(name))] }, scopeLogs: [{ logRecords }] },
      ],
    });
  const bad = Buffer.concat([
    message('b', { body: text('two') }),
    // A record whose attribute ends too early.
    Buffer.from([0x0a, 10, 0x12, 8, 0x12, 6, 0x32, 4, 0x0a, 9, 1, 1]),
  ]);
  const { batches, readings } = new OtlpDecoder('never').decode(
    [message('a', { body: text('one') }), bad, message('a', { body: text('three') })].map(
      (bytes) => ({ message: bytes }),
    ),
    0,
  );
  expect(readings).toEqual([
    { records: 1, rejected: 0 },
    { records: 2, rejected: 1 },
    { records: 1, rejected: 0 },
  ]);
  expect(batches).toHaveLength(1);
  const [batch] = batches;
  const rows = [0, 1, 2].map((row) => batch?.record(row));
  expect(rows.map((row) => [row?.body, row?.resource])).toEqual([
    ['one', { name: 'a' }],
    ['two', { name: 'b' }],
    ['three', { name: 'a' }],
  ]);
});

test('otlp reads attributes in any order, some of them missing, numbers of every size', () => {
  const decoder = new OtlpDecoder('never');
  const keys = Array.from({ length: 14 }, (_, i) => `key.${i}`);
  const value = fc.oneof(
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    ...[7, 14, 21, 28, 31, 53].map((bits) => fc.maxSafeNat().map((n) => n % 2 ** bits)),
    fc.integer({ max: -1 }),
  );
  const record = fc.tuple(
    fc.uniqueArray(fc.constantFrom(...keys), { minLength: 1 }),
    fc.boolean(),
    fc.array(value, { minLength: 14, maxLength: 14 }),
  );
  const anyValue = (v: string | number | boolean | null | undefined): object => {
    if (v === null || v === undefined) return {};
    if (typeof v === 'string') return text(v);
    return typeof v === 'boolean' ? { boolValue: v } : { intValue: String(v) };
  };
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), (records) => {
      const pairs = records.map(([own, inOrder, values]) =>
        (inOrder ? keys.filter((key) => own.includes(key)) : own).map(
          (key, i) => [key, values[i]] as const,
        ),
      );
      const message = request(
        ...pairs.map((list) => ({
          attributes: list.map(([key, v]) => attribute(key, anyValue(v))),
        })),
      );
      const { batches, release } = decoder.decode([{ message }], 0);
      const seen = pairs.map((_, row) => batches[0]?.record(row).attributes);
      expect(seen).toEqual(pairs.map((list) => Object.fromEntries(list)));
      release();
    }),
    { numRuns: 300 },
  );
});

test('otlp takes no number that ends too late, or with something behind it', () => {
  const record = (...value: number[]): number[] => {
    const any = [0x12, value.length, ...value];
    const pair = [0x0a, 1, 0x61, ...any];
    return [0x12, pair.length + 2, 0x32, pair.length, ...pair];
  };
  const records = [[0x18, 5], [0x18, 6], [0x18, 0x80], [0x18, 1, 0x18, 2], [], [0x18, 0xff, 1]];
  const scope = records.flatMap((value) => record(...value));
  const message = Uint8Array.of(0x0a, scope.length + 2, 0x12, scope.length, ...scope);
  const { rows, rejected } = decoded(message);
  expect(rows.map(({ attributes }) => attributes['a'])).toEqual([5, 6, 2, null, 255]);
  expect(rejected).toBe(1);
});

test('otlp reads a message where it is, with or without room for ids behind it', () => {
  const logRecords = Array.from({ length: 300 }, (_, i) => ({
    body: text(`line ${i}`),
    traceId: Buffer.alloc(16, (i % 255) + 1),
    spanId: Buffer.alloc(8, 7),
  }));
  const bytes = request(...logRecords);
  for (const room of [0, 300 * 48]) {
    const own = Buffer.alloc(bytes.length + room + 64);
    bytes.copy(own);
    const message = own.subarray(0, bytes.length);
    const [batch] = new OtlpDecoder('never').decode([{ message, own }], 0).batches;
    expect(batch?.bytes === own).toBe(room > 0);
    expect(batch?.record(299)).toMatchObject({
      body: 'line 299',
      traceId: '2d'.repeat(16),
      spanId: '07'.repeat(8),
    });
  }
});

test('otlp never throws on bytes that were damaged on the way', () => {
  const decoder = new OtlpDecoder('always');
  fc.assert(
    fc.property(
      randomRequest,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }),
      fc.nat(),
      (random, damages, cut) => {
        const whole = oracleBytes(random);
        for (const [at, byte] of damages) whole[at % Math.max(1, whole.length)] = byte;
        const bytes = cut % 3 === 0 ? whole.subarray(0, cut % (whole.length + 1)) : whole;
        const { batches, release } = decoder.decode([{ message: bytes }], 0);
        for (const batch of batches) {
          for (const row of batch.selection.subarray(0, batch.count)) batch.record(row);
        }
        release();
      },
    ),
    { numRuns: 500 },
  );
});
