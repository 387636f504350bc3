import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Document, parseDocument, type Scalar } from 'yaml';
import { offsetInScalar, plainValue } from '../../src/config/scalar.ts';

describe('an unquoted value', () => {
  for (const [text, wanted] of [
    ['', null],
    ['~', null],
    ['Null', null],
    ['true', true],
    ['False', false],
    ['yes', 'yes'],
    ['on', 'on'],
    ['0', 0],
    ['-5', -5],
    ['+5', 5],
    ['0640', 416],
    ['0o17', 15],
    ['0b101', 5],
    ['0xFF', 255],
    ['-0x10', -16],
    ['08', 8],
    ['1_000', 1000],
    ['_1', '_1'],
    ['1.', 1],
    ['.5', 0.5],
    ['-1.5e-3', -0.0015],
    ['1e', '1e'],
    ['.', '.'],
    ['-', '-'],
    ['..', '..'],
    ['.inf', Number.POSITIVE_INFINITY],
    ['-.INF', Number.NEGATIVE_INFINITY],
    ['.nan', Number.NaN],
    ['12:30', '12:30'],
    ['1.2.3', '1.2.3'],
    ['0x', '0x'],
    ['2020-01-01', '2020-01-01'],
    ['127.0.0.1', '127.0.0.1'],
  ] as const) {
    test(JSON.stringify(text), () => expect(plainValue(text)).toEqual(wanted));
  }
});

/** Each character of the value that is no blank has to be found as itself, or as the escape that stands for it. */
function everyCharacterFound(source: string): void {
  const scalar = (parseDocument(source).get('key', true) as Scalar) ?? { value: null };
  if (typeof scalar.value !== 'string' || !scalar.range) return;
  const value = scalar.value;
  const [start, end] = scalar.range;
  let before = start;
  for (let index = 0; index < value.length; index++) {
    const offset = offsetInScalar(source, { start, end, value }, index);
    const char = value[index] ?? '';
    expect(offset).toBeGreaterThanOrEqual(before);
    before = offset;
    if (/\s/.test(char) || source[start] === '"') continue;
    expect(source[offset]).toBe(char);
  }
}

test('characters of a value are found in the file, however it is written', () => {
  const word = fc.stringMatching(/^[a-z0-9'"#:?{}[\],&*!|>%@`é☃.-]{1,8}$/);
  const lines = fc.array(
    fc.array(word, { maxLength: 6 }).map((words) => words.join(' ')),
    {
      minLength: 1,
      maxLength: 5,
    },
  );
  const style = fc.constantFrom('PLAIN', 'QUOTE_SINGLE', 'BLOCK_LITERAL', 'BLOCK_FOLDED');
  fc.assert(
    fc.property(lines, style, fc.integer({ min: 20, max: 80 }), (texts, type, lineWidth) => {
      const document = new Document({ key: texts.join('\n') });
      (document.get('key', true) as Scalar).type = type as Scalar.Type;
      everyCharacterFound(document.toString({ lineWidth }));
    }),
  );
});

for (const [source, index, wanted] of [
  ['key: abc', 1, 6],
  ['key: "a\\tb"', 2, 9],
  ['key: "\\u0041b"', 1, 12],
  ['key: "\\U0001F600b"', 2, 16],
  ['key: "a \\\n  b"', 2, 12],
  ['key: "a\n\n  b"', 2, 11],
  ["key: 'it''s'", 3, 10],
  ['key: |\n  ab\n  cd\n', 3, 14],
  ['key: |2\n    ab\n  cd\n', 2, 12],
  ['key: |\n\n  ab\n', 1, 10],
  ['key: >-\n  ab\n  cd\n', 3, 15],
  ['key: >-\n  ab\n\n  cd\n', 3, 16],
] as const) {
  test(`character ${index} of ${JSON.stringify(source)}`, () => {
    const scalar = parseDocument(source).get('key', true) as Scalar<string>;
    const [start, end] = scalar.range ?? [0, 0];
    const found = offsetInScalar(source, { start, end, value: scalar.value }, index);
    expect([found, source[found]]).toEqual([wanted, scalar.value[index]]);
  });
}
