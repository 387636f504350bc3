import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Matcher } from '../../../../src/access_log/filter/regex/matcher.ts';

const matches = (source: string, text: string, mode: 'search' | 'full' = 'search'): boolean => {
  const bytes = Buffer.from(`##${text}##`);
  return new Matcher(source, mode).test(bytes, 2, bytes.length - 2);
};

for (const [source, text, found, whole] of [
  ['\\d{3}', '123', true, true],
  ['\\d{3}', '1234', true, false],
  ['', '', true, true],
  ['', 'x', true, false],
  ['a|b', 'b', true, true],
  ['(?i)ENVOY/hc', 'Envoy/HC', true, true],
  ['(?i:é)x', 'Éx', true, true],
  ['(?P<name>a)(?<other>b)(?:c)', 'abc', true, true],
  ['^/api/v[12]/', '/api/v2/users', true, false],
  ['/users$', '/api/users', true, false],
  ['\\A/a\\z', '/a', true, true],
  ['\\bbar\\b', 'foo bar', true, false],
  ['\\bbar\\b', 'foobar', false, false],
  ['a\\Bb', 'ab', true, true],
  ['.', 'ü', true, true],
  ['^.{2}$', '日本', true, true],
  ['[^a-c]', 'b', false, false],
  ['[^a-c]', 'é', true, true],
  ['[]a]+', ']a', true, true],
  ['[a\\-z]+', '-', true, true],
  ['[[:alpha:]_]+', 'ab_', true, true],
  ['\\p{Greek}+', 'λ', true, true],
  ['\\pL', '1', false, false],
  ['\\Qa.b\\E', 'a.b', true, true],
  ['\\Qa.b\\E', 'axb', false, false],
  ['\\x41\\x{e9}\\101', 'AéA', true, true],
  ['a.b', 'a\nb', false, false],
  ['(?s)a.b', 'a\nb', true, true],
  ['(?m)^b$', 'a\nb', true, false],
  ['a{2,3}?', 'aaaa', true, false],
  ['a{2,}', 'aaaa', true, true],
  ['{a}', '{a}', true, true],
  ['\\*\\/', '*/', true, true],
  ['(a+)+$', `${'a'.repeat(200)}b`, false, false],
] as const) {
  test(`matcher runs ${JSON.stringify(source)} on ${JSON.stringify(text.slice(0, 20))}`, () => {
    expect(matches(source, text)).toBe(found);
    expect(matches(source, text, 'full')).toBe(whole);
  });
}

for (const [source, message] of [
  ['a(b', 'missing )'],
  ['a)', 'unexpected )'],
  ['[a', 'missing ]'],
  ['*a', 'nothing to repeat before *'],
  ['a{3,2}', 'bad repetition {3,2}'],
  ['a{1001}', 'bad repetition {1001}'],
  ['(?=a)', 'look-around and back-references are not supported'],
  ['(a)\\1', 'bad escape \\1'],
  ['\\', 'unexpected end'],
  ['[z-a]', 'bad range in [...]'],
  ['((a{900}){900}){900}', 'too large'],
  ['\\p{Nothing}', 'unknown character class \\p{Nothing}'],
] as const) {
  test(`matcher refuses ${source}: ${message}`, () => {
    expect(() => new Matcher(source, 'search')).toThrow(message);
  });
}

// Expressions over a small alphabet, in the syntax that RE2 and JavaScript share: JavaScript's engine is the oracle.
const atom = fc.constantFrom(
  'a',
  'b',
  'c',
  '.',
  '[ab]',
  '[^a]',
  '\\w',
  '\\d',
  'é',
  '-',
  '\\b',
  '^',
  '$',
);
const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    atom,
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `${a}${b}`),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(?:${a}|${b})`),
    fc
      .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{0,2}', '{1,}'))
      .map(([a, times]) => `(?:${a})${times}`),
  ),
}));
const value = fc.string({
  unit: fc.constantFrom('a', 'b', 'c', 'é', '-', '1', '日', '\n'),
  maxLength: 12,
});

test('matcher agrees with the engine of JavaScript', () => {
  fc.assert(
    fc.property(pattern, fc.array(value, { minLength: 1, maxLength: 6 }), (source, values) => {
      const search = new Matcher(source, 'search');
      const full = new Matcher(source, 'full');
      for (const text of values) {
        const bytes = Buffer.from(text);
        expect(search.test(bytes, 0, bytes.length)).toBe(new RegExp(source, 'u').test(text));
        expect(full.test(bytes, 0, bytes.length)).toBe(
          new RegExp(`^(?:${source})$`, 'u').test(text),
        );
      }
    }),
    { numRuns: 600 },
  );
});

test('matcher finds the longest match from a place', () => {
  const bytes = Buffer.from('xx user=ann;user=bob');
  const prefix = new Matcher('\\buser=[a-z]+', 'prefix');
  const range = { start: 0, end: bytes.length };
  expect(prefix.longest(bytes, range, 3)).toBe(11);
  expect(prefix.longest(bytes, range, 4)).toBe(-1);
  expect(prefix.longest(bytes, range, 12)).toBe(20);
  expect(new Matcher('a*', 'prefix').longest(bytes, range, 0)).toBe(0);
});

test('matcher stays linear and bounded on expressions with very many states', () => {
  const random = Array.from({ length: 20_000 }, (_, i) => 'ab'[(i * 7919 + (i >> 3)) % 2]).join('');
  const bytes = Buffer.from(random);
  const matcher = new Matcher('(?:a|b)*a(?:a|b){14}c', 'search');
  const start = performance.now();
  expect(matcher.test(bytes, 0, bytes.length)).toBe(false);
  expect(performance.now() - start).toBeLessThan(5000);
});
