// The scanner against JSON.parse: it accepts the same lines and finds the same values.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fieldOfKey } from '../../src/access_log/fields.ts';
import { depthMax } from '../../src/encoding/json_lines/grammar.ts';
import { JsonScanner } from '../../src/encoding/json_lines/scanner.ts';
import { Batch } from '../../src/pipeline/batch.ts';

const plain = (): JsonScanner => new JsonScanner(() => undefined);

type Read = { attributes: Record<string, unknown> } | { problem: string; at: number };

/** What the scanner makes of lines, in one batch: attributes, or why not. */
function read(scanner: JsonScanner, lines: readonly (string | Uint8Array)[]): Read[] {
  const batch = Batch.ofLines(lines);
  scanner.begin(batch);
  const results = lines.map((_, row): Read => {
    const understood = scanner.scan(row, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
    if (!understood) expect(batch.record(row).attributes).toEqual({});
    return understood
      ? { attributes: batch.record(row).attributes }
      : { problem: scanner.problem, at: scanner.at };
  });
  scanner.end();
  batch.release();
  return results;
}

const one = (line: string | Uint8Array, scanner = plain()): Read => read(scanner, [line])[0]!;

/** What JSON.parse says the attributes are: `-` and null are absent, and integers keep all their digits. */
function expected(line: string): Record<string, unknown> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const present = Object.entries(value).filter(([, cell]) => cell !== null && cell !== '-');
  return Object.fromEntries(present);
}

/** Integers beyond 2^53 come as bigint from a batch and as the nearest double from JSON.parse. */
const rounded = (value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

function agree(scanner: JsonScanner, lines: readonly string[]): void {
  read(scanner, lines).forEach((result, i) => {
    const wanted = expected(lines[i] ?? '');
    if (wanted === undefined) expect(result, lines[i]).toHaveProperty('problem');
    else {
      expect(result, lines[i]).toHaveProperty('attributes');
      const { attributes } = result as { attributes: Record<string, unknown> };
      const numbers = Object.entries(attributes).map(([key, value]) => [key, rounded(value)]);
      expect(Object.fromEntries(numbers), lines[i]).toEqual(wanted);
    }
  });
}

const istio =
  '{"response_flags":"-","start_time":"2020-10-23T11:15:19.184Z","method":"GET","request_id":"be5acb4a","bytes_sent":"935","user_agent":"curl/7.69.1","upstream_service_time":null,"response_code":200}';

describe('json lines agree with JSON.parse', () => {
  const key = fc.oneof(
    fc.constantFrom('a', 'b', 'method', 'path', '', 'ключ', 'a"b', 'x\\y', 'start_time'),
    fc.string({ unit: 'binary', maxLength: 40 }),
  );
  // A key `__proto__` cannot be compared through plain objects.
  const json = fc
    .dictionary(key, fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }), { maxKeys: 8 })
    .filter((value) => !Object.hasOwn(value, '__proto__'));
  const spaces = fc.constantFrom(undefined, 1, '\t', ' \r');

  test('on any object, in any layout, one scanner for all', () => {
    const scanner = plain();
    const line = fc.tuple(json, spaces).map(([value, space]) => {
      return JSON.stringify(value, null, space).replaceAll('\n', ' ');
    });
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), (lines) => agree(scanner, lines)),
      { numRuns: 600 },
    );
  });

  test('on mutated lines: the same are refused', () => {
    const scanner = plain();
    const pieces = fc.constantFrom(
      ...['"', '\\', '{', '}', '[', ']', ',', ':', '-', '0', '1', '.', 'e', '+', 'true', 'null'],
      ...[' ', '\t', '\u0001', '\\u00e9', '\\u12', '"a"', '\\/', '\ud83d\ude00', '""', '{}', '-"'],
    );
    const mutation = fc.record({
      at: fc.nat(1000),
      cut: fc.nat(3),
      piece: fc.oneof(pieces, fc.constant('')),
    });
    const seed = fc.oneof(
      fc.constant(istio),
      fc.constant('{"a":{"b":[1,-2.5e+3,{"c":"\\n"}]},"d":[],"e":{},"f":false}'),
      json.map((value) => JSON.stringify(value)),
    );
    const line = fc.tuple(seed, fc.array(mutation, { maxLength: 3 })).map(([text, mutations]) =>
      mutations.reduce((now, { at, cut, piece }) => {
        const place = at % (now.length + 1);
        return now.slice(0, place) + piece + now.slice(place + cut);
      }, text),
    );
    fc.assert(
      // Lone halves of surrogate pairs become U+FFFD on the way into bytes.
      fc.property(
        fc.array(
          line.map((text) => text.toWellFormed()),
          { maxLength: 5 },
        ),
        (lines) => agree(scanner, lines),
      ),
      { numRuns: 3000 },
    );
  });

  test('on numbers, literals and white space of every kind', () => {
    const values = `0 -0 00 01 -01 1. .5 1.0 1e5 1E+5 1e-5 1e 1e+ -  - +1 0x1 1_0 123456789012345678901 1e400
      true tru truer True null nul nulll NaN Infinity undefined "" "-" "\\u002d" "\\x" "\\u00g0" "\t" 'a' {} [] [,] [1,]
      [1] [1 2] [[[]]] {"a"} {"a":} {"a":1,} {"a":1 "b":2} {a:1} // /**/`;
    const lines = values
      .split(/\s+/)
      .flatMap((value) => [
        ...[
          value,
          `{"a":${value}}`,
          ` {\t"a" :\r ${value} } `,
          `{"a":${value}} x`,
          `{"a":${value}`,
        ],
        ...[`{"a":${value},"b":"c"}`, `{"b":"c","a":${value}}`, `{"b":"c", "a":${value},"d":1}}`],
      ]);
    agree(plain(), [...lines, '', ' ', '{', '}', '{}', ' { } ', '{}{}', '{,}', '{"a":1}\u00a0']);
    agree(plain(), ['\ufeff{"a":1}', '{"a":1}\u0000', '{"a\u0001":1}', '{"a":"\u007f"}']);
  });
});

test('json lines read a row by its own bytes only, without reading on in the next', () => {
  const batch = Batch.ofLines(['{"a":"x","b":1}{"a":"y","b":2}']);
  const scanner = plain();
  scanner.begin(batch);
  for (let end = 0; end < 15; end++) expect(scanner.scan(0, 0, end), String(end)).toBe(false);
  expect(scanner.scan(0, 0, 15)).toBe(true);
  expect(scanner.scan(0, 15, 29)).toBe(false);
  expect(scanner.scan(0, 15, 30)).toBe(true);
  expect(batch.record(0).attributes).toEqual({ a: 'y', b: 2 });
});

test('json lines take the last of a key that stands twice, in any spelling', () => {
  const lines = ['{"a":1,"b":2,"a":"x"}', '{"a":1,"\\u0061":"z"}', '{"a":1,"a":null}', '{"a":2}'];
  expect(read(plain(), lines)).toEqual([
    { attributes: { a: 'x', b: 2 } },
    { attributes: { a: 'z' } },
    { attributes: {} },
    { attributes: { a: 2 } },
  ]);
});

test('json lines keep both values when two keys mean one field', () => {
  const scanner = new JsonScanner(fieldOfKey);
  const lines = [
    '{"path":"/a","uri":"/b"}',
    '{"uri":"/c","path":"/d"}',
    '{"uri":"/e"}',
    '{"path":null,"uri":"/f"}',
    '{"path":"/g","uri":"/h","path":"/i"}',
    '{"uri":"/j","path":"/k","uri":"-"}',
  ];
  for (const together of [lines, ...lines.map((line) => [line])]) {
    const results = read(scanner, together).map(
      (result) => (result as { attributes: object }).attributes,
    );
    const all = [
      { 'request.path': '/a', uri: '/b' },
      { 'request.path': '/c', path: '/d' },
      { 'request.path': '/e' },
      { 'request.path': '/f' },
      { 'request.path': '/i', uri: '/h' },
      { path: '/k' },
    ];
    expect(results).toEqual(together.map((line) => all[lines.indexOf(line)]));
  }
});

test('json lines type what older proxies print as strings, and know what absent looks like', () => {
  const scanner = new JsonScanner(fieldOfKey);
  const line =
    '{"response_code":"200","duration":"47","bytes_sent":"-","bytes_received":"0","response_flags":"UF,URX","upstream_service_time":"31","route_name":"-","start_time":"2020-10-23T11:15:19.184Z","mine":"-","connection_id":"007"}';
  expect(one(line, scanner)).toEqual({
    attributes: {
      'response.code': 200,
      'request.duration': 47,
      'request.size': 0,
      'response.flags': ['UF', 'URX'],
      'response.headers.x-envoy-upstream-service-time': '31',
      'request.time': '2020-10-23T11:15:19.184Z',
      'connection.id': '007',
    },
  });
  const odd =
    '{"response_code":"2\\u0030","response_flags":"\\u002d","duration":"\\u002d","response_code_details":"a\\/b"}';
  expect(one(odd, scanner)).toEqual({
    attributes: { 'response.code': 20, 'response.code_details': 'a/b' },
  });
  const flags = 'X'.repeat(200);
  expect(one(`{"response_flags":"${flags},UF"}`, scanner)).toEqual({
    attributes: { 'response.flags': [flags, 'UF'] },
  });
});

test('json lines say where a line stops being JSON', () => {
  expect(one('hello')).toEqual({ problem: 'not_an_object', at: 0 });
  expect(one('[1]')).toEqual({ problem: 'not_an_object', at: 0 });
  expect(one('{"a":1,"b":tru}')).toEqual({ problem: 'invalid_json', at: 11 });
  expect(one('{"a":"b')).toEqual({ problem: 'invalid_json', at: 5 });
  expect(one('{"a":1} x')).toEqual({ problem: 'invalid_json', at: 8 });
});

test('json lines follow nesting to a limit and not beyond', () => {
  const nested = (depth: number): string => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  expect(one(nested(depthMax))).toHaveProperty('attributes');
  expect(one(nested(depthMax + 1))).toMatchObject({ problem: 'nested_too_deep' });
  expect(one(`{"a":${'[{"b":'.repeat(200_000)}`)).toMatchObject({ problem: 'nested_too_deep' });
});

test('json lines refuse rows of random keys before they fill the memory, and go on', () => {
  const scanner = plain();
  const random = (from: number): string =>
    `{${Array.from({ length: 300 }, (_, i) => `"k${from + i}":1`).join()}}`;
  const [first, second, third] = read(scanner, [random(0), random(300), '{"k1":2}']);
  expect(first).toHaveProperty('attributes');
  expect(second).toMatchObject({ problem: 'too_many_fields' });
  expect(third).toEqual({ attributes: { k1: 2 } });
  for (let i = 0; i < 20; i++) expect(one(random(i * 300), scanner)).toHaveProperty('attributes');
  expect(one(`{"${'k'.repeat(100_000)}":1,"b":2}`, scanner)).toHaveProperty('attributes');
});

test('json lines pass on invalid UTF-8 as JSON.parse would see it', () => {
  const line = Buffer.from('{"a\xff":"b\xc3","c":"\xf0\x9f\x98"}', 'latin1');
  expect(one(line)).toEqual({ attributes: JSON.parse(line.toString()) });
});

test('json lines learn several layouts at once', () => {
  const scanner = plain();
  const layouts = [
    ['{"a":"1","b":"2","c":"3"}', { a: '1', b: '2', c: '3' }],
    ['{"c":"1","a":"2"}', { c: '1', a: '2' }],
    ['{"a":"1","c":"3"}', { a: '1', c: '3' }],
    ['{"b":"1", "x" : {"y":1} ,"a":"4"}', { b: '1', x: { y: 1 }, a: '4' }],
  ] as const;
  const lines = Array.from({ length: 40 }, (_, i) => layouts[(i * 7 + (i >> 2)) % 4]!);
  const results = read(
    scanner,
    lines.map(([line]) => line),
  );
  expect(results).toEqual(lines.map(([, attributes]) => ({ attributes })));
});
