// Bodies and attributes in the shapes of Kuma's OpenTelemetry backend, from YAML to what a decoder that is not ours reads.

import { describe, expect, test } from 'vitest';
import { parse as yaml } from 'yaml';
import { readAttributes, readBody } from '../../src/access_log/any_value.ts';
import { kumaTcp } from '../../src/access_log/formats.ts';
import { batchOfRecords, type Fields } from '../../src/access_log/record_batch.ts';
import { OtlpEncoder } from '../../src/encoding/otlp/encode.ts';
import { renderedAttributes, renderedBody } from '../../src/encoding/otlp/rendered.ts';
import { renderText } from '../support/formats.ts';
import { oracleRequest } from '../support/otlp.ts';

const fields: Fields = {
  'mesh.name': 'default',
  'response.code': 503,
  'response.size': 5,
  'request.method': 'GET',
  'request.useragent': Uint8Array.of(0x61, 0xff),
};

/** The one record that is sent for `fields`. */
function sent(body: unknown, attributes: unknown = [], record: Fields = fields) {
  const tree = readBody(body);
  const list = readAttributes(attributes);
  expect([...tree.problems, ...list.problems]).toEqual([]);
  const encoder = new OtlpEncoder({
    body: renderedBody(tree.value!),
    attributes: renderedAttributes(list.value!),
    bytesMax: 1 << 20,
    version: '0',
  });
  const request = encoder.encode(batchOfRecords([record]));
  const log = oracleRequest(request.bytes).resourceLogs?.[0]?.scopeLogs?.[0]?.logRecords?.[0];
  request.release();
  return JSON.parse(JSON.stringify({ body: log?.body, attributes: log?.attributes ?? [] })) as {
    body: unknown;
    attributes: unknown;
  };
}

const problems = (body: unknown): string[] =>
  readBody(body).problems.map(({ path, message }) => `${path.join('.')}: ${message}`);

describe('bodies', () => {
  for (const [text, body] of [
    ['stringValue: "%KUMA_MESH%"', { stringValue: 'default' }],
    ['stringValue: "a %RESPONSE_CODE% of %REQ(X)%"', { stringValue: 'a 503 of -' }],
    ['stringValue: "no operator 100%%"', { stringValue: 'no operator 100%' }],
    ['boolValue: true', { boolValue: true }],
    ['intValue: 123', { intValue: '123' }],
    ['intValue: "-9223372036854775808"', { intValue: '-9223372036854775808' }],
    ['doubleValue: 1.2', { doubleValue: 1.2 }],
    ['doubleValue: 2', { doubleValue: 2 }],
    ['bytesValue: aGVsbG8=', { bytesValue: { type: 'Buffer', data: [104, 101, 108, 108, 111] } }],
    [
      'arrayValue: { values: [ { stringValue: "%KUMA_MESH%" }, { boolValue: false } ] }',
      { arrayValue: { values: [{ stringValue: 'default' }, { boolValue: false }] } },
    ],
    [
      'kvlistValue: { values: [ { key: "mesh", value: { stringValue: "%KUMA_MESH%" } } ] }',
      { kvlistValue: { values: [{ key: 'mesh', value: { stringValue: 'default' } }] } },
    ],
    [
      'kvlistValue: { values: [ { key: "%KUMA_MESH%", value: { arrayValue: { values: [ { kvlistValue: {} } ] } } } ] }',
      {
        kvlistValue: {
          values: [{ key: 'default', value: { arrayValue: { values: [{ kvlistValue: {} }] } } }],
        },
      },
    ],
    ['"%KUMA_MESH%"', { stringValue: 'default' }],
    ['{ stringValue: "%RESPONSE_CODE%", typed: true }', { intValue: '503' }],
    [
      '{ typed: true, kvlistValue: { values: [ { key: a, value: { stringValue: "%BYTES_SENT%" } }, { key: b, value: { stringValue: "%REQ(X)%" } } ] } }',
      { kvlistValue: { values: [{ key: 'a', value: { intValue: '5' } }] } },
    ],
    ['stringValue: "%REQ(USER-AGENT)%"', { stringValue: 'a\ufffd' }],
  ] as const) {
    test(text, () => expect(sent(yaml(text)).body).toEqual(body));
  }

  for (const nothing of [undefined, null, {}]) {
    test(`${JSON.stringify(nothing)} is Kuma's default format, without a newline`, () => {
      const connection = { 'mesh.name': 'default', 'response.size': 5 };
      const stringValue = renderText(kumaTcp, connection);
      expect(sent(nothing, [], connection).body).toEqual({ stringValue });
      expect(sent(nothing).body).toMatchObject({
        stringValue: expect.stringContaining('"GET - -" 503'),
      });
    });
  }

  for (const [text, message] of [
    [
      '{ kvlistValue: , values: [ { key: mesh, value: { stringValue: "%KUMA_MESH%" } } ] }',
      'kvlistValue: "values" belongs under kvlistValue, indent it by two more',
    ],
    [
      '{ arrayValue: , values: [] }',
      'arrayValue: "values" belongs under arrayValue, indent it by two more',
    ],
    ['stringVal: x', 'stringVal: unknown field; did you mean "stringValue"?'],
    [
      '{ stringValue: x, intValue: 1 }',
      ': expected exactly one of stringValue, boolValue, intValue, doubleValue, bytesValue, arrayValue, kvlistValue',
    ],
    ['boolValue: "yes"', 'boolValue: expected true or false'],
    ['intValue: 1.5', 'intValue: expected a whole number'],
    ['intValue: "9223372036854775808"', 'intValue: does not fit 64 bits'],
    ['doubleValue: x', 'doubleValue: expected a number'],
    ['bytesValue: "%%"', 'bytesValue: expected bytes in base64'],
    [
      'stringValue: "%KUMA_MASH%"',
      'stringValue: Not supported field in StreamInfo: KUMA_MASH; did you mean "KUMA_MESH"? (at character 1)',
    ],
    [
      'kvlistValue: { values: [ { key: "", value: { stringValue: x } } ] }',
      'kvlistValue.values.0.key: key cannot be empty',
    ],
    [
      'arrayValue: { values: [ 5 ] }',
      'arrayValue.values.0: expected one of stringValue, boolValue, intValue, doubleValue, bytesValue, arrayValue, kvlistValue',
    ],
  ] as const) {
    test(`${text} is refused`, () => expect(problems(yaml(text))).toEqual([message]));
  }
});

describe('attributes', () => {
  test('are strings, unless a lone operator is to keep its type', () => {
    const attributes = [
      { key: 'start', value: '[%REQ(:METHOD)%]' },
      { key: 'code', value: '%RESPONSE_CODE%' },
      { key: 'typed', value: '%RESPONSE_CODE%', typed: true },
      { key: 'flags', value: '%RESPONSE_FLAGS%', typed: true },
      { key: 'gone', value: '%REQ(X)%', typed: true },
      { key: 'missing', value: '%REQ(X)%' },
    ];
    expect(sent({ boolValue: true }, attributes).attributes).toEqual([
      { key: 'start', value: { stringValue: '[GET]' } },
      { key: 'code', value: { stringValue: '503' } },
      { key: 'typed', value: { intValue: '503' } },
      { key: 'flags', value: { stringValue: '-' } },
      { key: 'missing', value: { stringValue: '-' } },
    ]);
  });

  test('need keys and values', () => {
    const messages = readAttributes([
      { key: '', value: '' },
      { key: 'a', value: 'x', vlue: 1 },
    ]).problems;
    expect(messages.map(({ path, message }) => `${path.join('.')}: ${message}`)).toEqual([
      '0.key: key cannot be empty',
      '0.value: value cannot be empty',
      '1.vlue: unknown field: expected key, value or typed',
    ]);
  });
});
