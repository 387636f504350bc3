import { describe, expect, test } from 'vitest';
import { parse as yaml } from 'yaml';
import { z } from 'zod';
import { parseFormatConfig } from '../../../src/access_log/format/config.ts';
import type { Format } from '../../../src/access_log/format/format.ts';
import {
  attributesField,
  bodyField,
  lineFormatField,
  parseFormatField,
} from '../../../src/access_log/format_fields.ts';
import { envoyDefault, istioText } from '../../../src/access_log/formats.ts';
import { formatOf, renderText } from '../../support/formats.ts';

const textOf = (value: unknown): string => {
  const format = formatOf(value) as Format;
  return format.kind === 'text' ? format.text : format.kind;
};
const problemsOf = (value: unknown): string[] =>
  parseFormatConfig(value).problems.map(({ path, message }) => `${path.join('.')}: ${message}`);

describe('formats in the objects of Envoy, Istio and Kuma', () => {
  for (const [name, value, text] of [
    ['a format string', '%DURATION%', '%DURATION%'],
    ['text_format', { text_format: 'a %DURATION%' }, 'a %DURATION%'],
    [
      'text_format_source',
      { text_format_source: { inline_string: '%DURATION%\n' } },
      '%DURATION%\n',
    ],
    ['an empty text is the default', { text_format: '' }, envoyDefault],
    [
      'a logger with its type',
      {
        name: 'x',
        typed_config: {
          '@type': 'y',
          path: '/dev/stdout',
          log_format: { text_format: '%PROTOCOL%' },
        },
      },
      '%PROTOCOL%',
    ],
    [
      'access_log with one logger',
      { access_log: [{ name: 'x', typed_config: { format: '%PROTOCOL%' } }] },
      '%PROTOCOL%',
    ],
    [
      'accessLogFormat gets a newline',
      { accessLogFile: '/dev/stdout', accessLogFormat: '%PROTOCOL%' },
      '%PROTOCOL%\n',
    ],
    ['accessLogFormat keeps its newline', { accessLogFormat: '%PROTOCOL% \n' }, '%PROTOCOL% \n'],
    ['an empty accessLogFormat is the default', { meshConfig: { accessLogFormat: '' } }, istioText],
    [
      'a provider of Istio',
      {
        extensionProviders: [
          { name: 'x', envoyFileAccessLog: { path: 'p', logFormat: { text: '%PROTOCOL%' } } },
        ],
      },
      '%PROTOCOL%\n',
    ],
    ['Kuma plain', { type: 'Plain', plain: '[%START_TIME%]' }, '[%START_TIME%]'],
    [
      'a backend of Kuma',
      {
        type: 'File',
        file: { path: '/dev/stdout', format: { type: 'Plain', plain: '%KUMA_MESH%' } },
      },
      '%KUMA_MESH%',
    ],
    [
      'backends of Kuma',
      { backends: [{ type: 'Tcp', tcp: { address: 'a:1', format: { plain: '%KUMA_MESH%' } } }] },
      '%KUMA_MESH%',
    ],
    ['a backend of Kuma without a format', { type: 'Tcp', tcp: { address: 'a:1' } }, 'pair'],
    [
      'a policy of Kuma',
      {
        spec: {
          to: [
            {
              targetRef: {},
              default: {
                backends: [
                  {
                    type: 'File',
                    file: { path: 'p', format: { type: 'Plain', plain: '%KUMA_MESH%' } },
                  },
                ],
              },
            },
          ],
        },
      },
      '%KUMA_MESH%',
    ],
    ['Kuma without a format', { type: 'Plain' }, 'pair'],
    ['json_format', { json_format: { a: '%DURATION%' } }, 'json'],
    ['labels of Istio', { logFormat: { labels: { a: '%DURATION%' } } }, 'json'],
  ] as const) {
    test(name, () => expect(textOf(value)).toBe(text));
  }

  test('names stand for formats', () => {
    expect(formatOf('istio_text')).toEqual({ kind: 'named', name: 'istio_text' });
  });

  test("Istio's JSON encoding takes a JSON text, and its default keys when there is none", () => {
    const json = { accessLogEncoding: 'JSON', accessLogFormat: '{"a":"%PROTOCOL%"}' };
    expect(renderText(json, { 'request.protocol': 'HTTP/2' })).toBe('{"a":"HTTP/2"}');
    const keys = Object.keys(JSON.parse(renderText({ accessLogEncoding: 'JSON' }, {})) as object);
    expect(keys).toHaveLength(24);
    expect(Object.keys(JSON.parse(renderText({ labels: {} }, {})) as object)).toEqual(keys);
  });

  for (const [value, problems] of [
    [
      '%REQ(X',
      [
        ": Incorrect configuration: %REQ(X. Couldn't find valid command at position 0 (at character 1)",
      ],
    ],
    [
      { type: 'Plain', plain: 'a % b' },
      [
        'plain: format string is not valid: expected a command operator to start at position 3, instead got: "% b" (at character 3)',
      ],
    ],
    [{ type: 'Plain', plain: '' }, ['plain: must not be empty']],
    [{ type: 'Json' }, ['json: must be defined']],
    [{ type: 'Json', json: [] }, ['json: must be a list of {key, value} with at least one entry']],
    [
      {
        type: 'Json',
        json: [
          { key: '', value: 'x' },
          { key: 'a', value: '' },
        ],
      },
      ['json.0.key: key cannot be empty', 'json.1.value: value cannot be empty'],
    ],
    [{ type: 'Xml', plain: 'x' }, ['type: expected Plain or Json, got "Xml"']],
    [
      { type: 'Plain', plain: 'x%DURATION%', jsn: 1 },
      ['jsn: unknown field: expected type, plain, json or omitEmptyValues'],
    ],
    [
      { json_format: { a: { b: ['%NOPE%'] } } },
      ['json_format.a.b.0: Not supported field in StreamInfo: NOPE (at character 1)'],
    ],
    [
      { text_format_source: { filename: 'x' } },
      ['text_format_source: expected {inline_string: "..."}: other sources of Envoy are not read'],
    ],
    [
      { accessLogEncoding: 'JSON', accessLogFormat: 'x' },
      ['accessLogFormat: accessLogEncoding is JSON, so the format must be a JSON object'],
    ],
    [[{}, {}], [': expected one entry that has a format, got 2']],
  ] as const) {
    test(`${JSON.stringify(value).slice(0, 70)} is refused`, () => {
      expect(problemsOf(value)).toEqual(problems);
    });
  }

  test('what is no format says what would be one', () => {
    for (const value of ['nonsense', 5, null, { a: 1 }]) {
      expect(problemsOf(value)[0]).toContain('a format object of Envoy, Istio or Kuma');
    }
  });
});

describe("the examples of Kuma's documentation", () => {
  test('quotes that stand around values by mistake are left out', () => {
    const format = yaml(`
      type: Json
      json:
        - { key: "start_time", value: "%START_TIME%" }
        - { key: 'method', value: '"%REQ(:METHOD)%' }
        - { key: 'x_forwarded_for', value: '"%REQ(X-FORWARDED-FOR)%"' }
        - { key: "bytes_received", value: "%BYTES_RECEIVED%" }`);
    const fields = {
      'request.time': '2016-04-15T20:17:00.310Z',
      'request.method': 'GET',
      'request.size': 154,
    };
    expect(renderText(format, fields)).toBe(
      '{"start_time":"2016-04-15T20:17:00.310Z","method":"GET","x_forwarded_for":null,"bytes_received":154}',
    );
  });

  test('plain with its example output', () => {
    const format = yaml(`{ type: Plain, plain: '[%START_TIME%] %BYTES_RECEIVED%' }`);
    const fields = { 'request.time': '2016-04-15T20:17:00.310Z', 'request.size': 154 };
    expect(renderText(format, fields)).toBe('[2016-04-15T20:17:00.310Z] 154');
  });
});

describe('formats as fields of a configuration', () => {
  const schema = z.strictObject({
    parse: parseFormatField().optional(),
    format: lineFormatField(['json', 'original']).prefault('original'),
    body: bodyField(['none', 'line', 'fields']).prefault('none'),
    attributes: attributesField(['all', 'none']).prefault('all'),
  });
  const issues = (value: object): string[] =>
    schema
      .safeParse(value)
      .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

  test('words of the component and formats side by side', () => {
    expect(schema.parse({})).toMatchObject({ format: 'original', body: 'none', attributes: 'all' });
    const parsed = schema.parse({
      parse: 'auto',
      format: 'istio_text',
      body: { stringValue: '%KUMA_MESH%' },
      attributes: [{ key: 'a', value: '%START_TIME%' }],
    });
    expect(parsed).toMatchObject({
      parse: { kind: 'named', name: 'auto' },
      format: { kind: 'text', text: istioText },
      body: { kind: 'text' },
      attributes: [{ value: { kind: 'text' } }],
    });
  });

  for (const [value, problem] of [
    [
      { format: { type: 'Plain', plain: 'x %' } },
      'format.plain: format string is not valid: expected a command operator to start at position 3, instead got: "%" (at character 3)',
    ],
    [
      { format: 'ztunnel' },
      'format: "ztunnel" is no format for writing: expected json, original or a format',
    ],
    [{ format: '%CEL(1 +)%' }, 'format: Not able to parse expression: '],
    [
      { parse: '%BYTES_SENT%%DURATION%' },
      'parse: %BYTES_SENT% and %DURATION% stand next to each other',
    ],
    [
      { body: 'lines' },
      'body: "lines" is no body: expected none, line, fields, or an object such as {stringValue: "%KUMA_MESH%"}',
    ],
    [{ attributes: { a: 1 } }, 'attributes: expected a list of {key, value}'],
  ] as const) {
    test(`${JSON.stringify(value)} is refused under its key`, () => {
      expect(issues(value)).toHaveLength(1);
      expect(issues(value)[0]).toContain(problem);
    });
  }
});
