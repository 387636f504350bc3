import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OtlpDecoder } from '../../src/encoding/otlp/decode.ts';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import { fromJson } from '../../src/encoding/otlp/from_json.ts';
import { toJson } from '../../src/encoding/otlp/json.ts';
import { OtlpJsonLines } from '../../src/encoding/otlp/json_lines.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { TEXT } from '../../src/pipeline/column.ts';
import { mergeBatches } from '../../src/pipeline/merge.ts';
import type { AnyValue } from '../../src/pipeline/record.ts';
import { readSnapshot, writeSnapshot } from '../../src/pipeline/snapshot.ts';
import { oracleBytes, oracleRequest, seenRecords } from '../support/otlp.ts';

/** The document as protobuf; throws what is wrong with it. */
function read(document: unknown): Buffer {
  const result = fromJson(typeof document === 'string' ? document : JSON.stringify(document));
  if ('problem' in result) throw new Error(result.problem);
  return result.bytes;
}

const withRecord = (record: unknown) => ({
  resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }],
});
const recordOf = (bytes: Buffer) => {
  const request = oracleRequest(bytes) as {
    resourceLogs: { scopeLogs: { logRecords: Record<string, unknown>[] }[] }[];
  };
  return request.resourceLogs[0]?.scopeLogs[0]?.logRecords[0];
};
const written = (bytes: Buffer): unknown => JSON.parse(toJson(bytes).toString());

/** A document with everything that the specification's example of logs has. */
const example = {
  resourceLogs: [
    {
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'my.service' } }] },
      scopeLogs: [
        {
          scope: {
            name: 'my.library',
            version: '1.0.0',
            attributes: [{ key: 'my.scope', value: { stringValue: 'some scope' } }],
          },
          logRecords: [
            {
              timeUnixNano: '1544712660300000000',
              severityNumber: 10,
              severityText: 'Information',
              body: { stringValue: 'Example "log" record\n' },
              attributes: [
                { key: 'string', value: { stringValue: 'ä' } },
                { key: 'boolean', value: { boolValue: true } },
                { key: 'int', value: { intValue: '10' } },
                { key: 'least', value: { intValue: '-9223372036854775808' } },
                { key: 'double', value: { doubleValue: 637.704 } },
                { key: 'infinite', value: { doubleValue: '-Infinity' } },
                { key: 'bytes', value: { bytesValue: 'AP8=' } },
                {
                  key: 'array',
                  value: {
                    arrayValue: { values: [{ stringValue: 'many' }, { intValue: '0' }, {}] },
                  },
                },
                {
                  key: 'map',
                  value: {
                    kvlistValue: { values: [{ key: 'k', value: { stringValue: 'v' } }] },
                  },
                },
                { key: 'nothing', value: {} },
              ],
              droppedAttributesCount: 1,
              flags: 1,
              traceId: '5b8efff798038103d269b633813fc60c',
              spanId: 'eee19b7ec3c1b174',
              observedTimeUnixNano: '1544712660300000001',
              eventName: 'browser.page_view',
            },
          ],
        },
      ],
    },
  ],
};

test('otlp_json reads a document and writes it again as it was', () => {
  expect(written(read(example))).toEqual(example);
});

describe('otlp_json comes out of a pipeline as it went in', () => {
  const encoder = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax: 1e7, version: '1' });
  const decoded = (document: object): Batch =>
    new OtlpDecoder('auto').decode([{ message: read(document) }], 0).batches[0] as Batch;

  test('when nobody has looked at it', () => {
    const document = structuredClone(example);
    const [record] = document.resourceLogs[0]!.scopeLogs[0]!.logRecords;
    // An attribute without a value is looked at.
    record!.attributes = record!.attributes.filter(({ key }) => key !== 'nothing');
    const batch = decoded(document);
    expect(batch.undecoded).toBeDefined();
    expect(written(encoder.encode(batch).bytes)).toEqual(document);
  });

  test('when somebody has, merged and on disk too', () => {
    const document = structuredClone(example);
    const batch = decoded(document);
    expect(batch.undecoded).toBeUndefined();
    expect(batch.record(0)).toMatchObject({
      severityText: 'INFO',
      attributes: {
        nothing: null,
        'severity.text': 'Information',
        'event.name': 'browser.page_view',
        'trace.flags': 1,
        'otlp.dropped_attributes_count': 1,
      },
      resource: {
        'service.name': 'my.service',
        'otel.scope.name': 'my.library',
        'otel.scope.attributes': { 'my.scope': 'some scope' },
      },
    });
    expect(written(encoder.encode(batch).bytes)).toEqual(document);
    const { table, bytes } = writeSnapshot(mergeBatches([batch, batch]));
    const whole = Buffer.concat([table, bytes, Buffer.alloc(64)]);
    const kept = readSnapshot(whole, 0, table.length + bytes.length);
    const [logs] = document.resourceLogs[0]!.scopeLogs;
    logs!.logRecords.push(logs!.logRecords[0]!);
    expect(written(encoder.encode(kept).bytes)).toEqual(document);
  });
});

test('otlp_json keeps an attribute that does not fit where records have their own', () => {
  const attributes = [
    { key: 'event.name', value: { intValue: '1' } },
    { key: 'trace.flags', value: { stringValue: 'sampled' } },
    { key: 'severity.text', value: { stringValue: 'Hinweis' } },
  ];
  const encoder = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax: 1e7, version: '1' });
  const message = read(withRecord({ attributes }));
  const [batch] = new OtlpDecoder('auto').decode([{ message }], 0).batches;
  const seen = recordOf(encoder.encode(batch!).bytes as Buffer);
  expect(seen).toMatchObject({ severityText: 'Hinweis', attributes: attributes.slice(0, 2) });
  expect(seen).not.toHaveProperty('eventName');
});

test('otlp_json is read as an independent decoder understands protobuf', () => {
  const [record] = seenRecords(read(example));
  expect(record).toMatchObject({
    time: 1544712660300000000n,
    observedTime: 1544712660300000001n,
    severityNumber: 10,
    severityText: 'Information',
    body: 'Example "log" record\n',
    resource: { 'service.name': 'my.service' },
    scope: 'my.library 1.0.0',
    traceId: '5b8efff798038103d269b633813fc60c',
    spanId: 'eee19b7ec3c1b174',
    attributes: {
      least: -(2n ** 63n),
      infinite: Number.NEGATIVE_INFINITY,
      bytes: new Uint8Array([0, 255]),
      array: ['many', 0n, undefined],
      map: { k: 'v' },
    },
  });
  expect(recordOf(read(example))).toMatchObject({ flags: 1, eventName: 'browser.page_view' });
});

describe('otlp_json reads', () => {
  for (const [name, record, expected] of [
    ['integers as numbers', { timeUnixNano: 5, body: { intValue: -1 } }, { timeUnixNano: '5' }],
    [
      'large integers as numbers',
      '{"body":{"intValue":9007199254740993}}',
      { body: { intValue: '9007199254740993' } },
    ],
    ['ids in upper case', { spanId: 'EEE19B7EC3C1B174' }, {}],
    ['a severity by name', { severityNumber: 'SEVERITY_NUMBER_WARN2' }, { severityNumber: 14 }],
    ['no severity by name', { severityNumber: 'SEVERITY_NUMBER_UNSPECIFIED' }, {}],
    [
      'the names of the .proto',
      { time_unix_nano: '7', severity_text: 'x' },
      { timeUnixNano: '7', severityText: 'x' },
    ],
    ['null as nothing', { body: null, attributes: null, traceId: null }, {}],
    ['unknown keys', { unexpected: [1], severityNumber: 9 }, { severityNumber: 9 }],
    ['doubles as text', { body: { doubleValue: '1.5e3' } }, { body: { doubleValue: 1500 } }],
    ['not a number', { body: { doubleValue: 'NaN' } }, { body: { doubleValue: Number.NaN } }],
    ['an empty text', { body: { stringValue: '' } }, { body: { stringValue: '' } }],
    ['an empty list', { body: { arrayValue: {} } }, { body: { arrayValue: {} } }],
  ] as const) {
    test(name, () => {
      const document =
        typeof record === 'string'
          ? `{"resourceLogs":[{"scopeLogs":[{"logRecords":[${record}]}]}]}`
          : withRecord(record);
      expect(recordOf(read(document))).toMatchObject(expected);
    });
  }
});

describe('otlp_json refuses', () => {
  for (const [name, document] of [
    ['what is no JSON', '{"resourceLogs":'],
    ['what is no object', '[]'],
    ['resources that are no list', { resourceLogs: {} }],
    ['a record that is no object', withRecord('x')],
    ['a time that is no number', withRecord({ timeUnixNano: '3.f14' })],
    ['a negative time', withRecord({ timeUnixNano: '-1' })],
    ['a time with a fraction', withRecord({ timeUnixNano: 1.5 })],
    ['a time that is true', withRecord({ timeUnixNano: true })],
    ['an integer beyond 64 bits', withRecord({ body: { intValue: '9223372036854775808' } })],
    ['a double that is none', withRecord({ body: { doubleValue: '3.f14' } })],
    ['a boolean that is text', withRecord({ body: { boolValue: 'true' } })],
    ['a severity that is true', withRecord({ severityNumber: true })],
    ['a severity nobody knows', withRecord({ severityNumber: 'LOUD' })],
    ['flags beyond 32 bits', withRecord({ flags: 2 ** 32 })],
    ['an id that is not hexadecimal', withRecord({ traceId: 'xy' })],
    ['half a byte', withRecord({ spanId: 'abc' })],
    ['bytes that are not base64', withRecord({ body: { bytesValue: '*' } })],
    ['a text that is a number', withRecord({ severityText: 5 })],
    [
      'values nested without end',
      `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${'{"arrayValue":{"values":['.repeat(1000)}${']}}'.repeat(1000)}}]}]}]}`,
    ],
  ] as const) {
    test(name, () => expect(() => read(document)).toThrow());
  }
});

test('otlp_json writes times and integers of any size as text, exactly', () => {
  const unsigned = ['1', '9007199254740991', '9007199254740992', '9007199254740993'];
  for (const last of ['000000', '000001', '000009', '000010', '099999', '100000', '999999']) {
    unsigned.push(`1600000000000${last}`, `18446744073708${last}`);
  }
  unsigned.push('18446744073709551615');
  const signed = ['-1', '-9007199254740993', '-9223372036854775808', '9223372036854775807', '0'];
  for (const timeUnixNano of unsigned) {
    for (const intValue of [...signed, ...unsigned.filter((text) => text.length < 19)]) {
      const record = { timeUnixNano, attributes: [{ key: 'a', value: { intValue } }] };
      expect(written(oracleBytes(withRecord(record)))).toEqual(withRecord(record));
    }
  }
});

test('otlp_json writes pairs of any shape', () => {
  const long = 'k'.repeat(300);
  const attributes = [
    { key: 'text', value: { stringValue: '' } },
    { key: 'quoted "key"', value: { stringValue: 'a "text"\n' } },
    { key: long, value: { stringValue: long } },
    { key: 'null', value: {} },
    { key: 'nested', value: { kvlistValue: { values: [{ key: '', value: { intValue: '1' } }] } } },
    { key: 'last', value: { boolValue: true } },
  ];
  const bytes = oracleBytes(withRecord({ attributes }));
  expect(written(bytes)).toEqual(withRecord({ attributes }));
});

test('otlp_json writes a document a line, none of them too long', () => {
  const batch = Batch.ofLines(Array.from({ length: 30 }, (_, i) => `${i}`.padEnd(100_000, '"')));
  const text = new OtlpJsonLines('1').encode(batch).toString();
  const lines = text.trimEnd().split('\n');
  expect(text.endsWith('\n')).toBe(true);
  expect(lines.length).toBeGreaterThan(2);
  const bodies = lines.flatMap((line) => seenRecords(read(line)).map(({ body }) => String(body)));
  expect(bodies.map((body) => Number(body.replace(/"+$/, '')))).toEqual(
    Array.from({ length: 30 }, (_, i) => i),
  );
});

test('otlp_json of any record means what its protobuf means', () => {
  const encoder = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax: 1e7, version: '1' });
  const anyValue = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.boolean(),
      fc.uint8Array(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  })).value as fc.Arbitrary<AnyValue>;
  fc.assert(
    fc.property(
      fc.array(anyValue, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (values, wide) => {
        const batch = Batch.ofLines(values.map(() => (wide ? 'ä"\\\u0001' : 'line')));
        const column = batch.addColumn('key "\\ ä');
        const line = batch.addColumn('line');
        values.forEach((value, row) => {
          batch.setValue(column, row, value);
          line.setSpan(row, TEXT, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
        });
        batch.resource = { pod: 'p' };
        const { bytes } = encoder.encode(batch);
        const json = toJson(bytes);
        expect(json.includes('\n')).toBe(false);
        expect(seenRecords(read(json.toString()))).toEqual(seenRecords(bytes));
      },
    ),
    { numRuns: 300 },
  );
});
