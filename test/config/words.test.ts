import { expect, test } from 'vitest';
import { either, nearest, shown } from '../../src/config/words.ts';

const known = [
  'percent',
  'keep_if',
  'line_bytes_max',
  'endpoint',
  'batch',
  'match',
  'statusCodeMatcher',
];

for (const [word, wanted] of [
  ['percnt', 'percent'],
  ['precent', 'percent'],
  ['percentage', 'percent'],
  ['keepIf', 'keep_if'],
  ['lineBytesMax', 'line_bytes_max'],
  ['line-bytes-max', 'line_bytes_max'],
  ['ENDPOINT', 'endpoint'],
  ['mach', 'match'],
  ['status_code_matcher', 'statusCodeMatcher'],
  ['xyz', undefined],
  ['b', undefined],
  ['p'.repeat(100), undefined],
] as const) {
  test(`${word.slice(0, 20)} was meant to be ${wanted}`, () =>
    expect(nearest(word, known)).toBe(wanted));
}

test('values are shown short, on one line', () => {
  expect(shown('a\n"b"\u001b[0m')).toBe('"a\\n\\"b\\"\\u001b[0m"');
  expect(shown('x'.repeat(100))).toHaveLength(62);
  expect([shown(null), shown(5), shown(true), shown([]), shown({})]).toEqual([
    'nothing',
    'the number 5',
    'true',
    'a list',
    'a map',
  ]);
});

test('alternatives are written as people write them', () => {
  expect([either(['a']), either(['a', 'b']), either(['a', 'b', 'c', 'a'])]).toEqual([
    'a',
    'a or b',
    'a, b or c',
  ]);
});
