// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a reference is among the words.
// Files that nobody writes by accident: answered in bounded time, without an exception, with a place.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { around, load, told } from './stand_in.ts';

/** The problems, which have to come soon. */
function within(milliseconds: number, text: string): string[] {
  const begun = performance.now();
  const { config, problems } = load(text);
  expect(performance.now() - begun).toBeLessThan(milliseconds);
  expect(config === undefined).toBe(problems.length > 0);
  return told(problems);
}

describe('a hostile file', () => {
  test('of aliases that multiply', () => {
    let text = 'x0: &x0 [x, x, x, x, x, x, x, x, x, x]\n';
    for (let i = 1; i < 12; i++) text += `x${i}: &x${i} [${`*x${i - 1}, `.repeat(10)}]\n`;
    expect(within(10_000, text)).toEqual([expect.stringContaining('aliases stand for more than')]);
  });

  test('of brackets', () => {
    expect(within(10_000, '['.repeat(50_000))[0]).toContain('nested too deeply');
    expect(within(10_000, '- '.repeat(50_000))[0]).toContain('nested too deeply');
    expect(within(10_000, `${'{a: '.repeat(50_000)}`).length).toBeGreaterThan(0);
    expect(within(10_000, `a: ${'[ '.repeat(200)}${']'.repeat(200)}`)[0]).toContain(
      'nested too deeply',
    );
  });

  test('of twenty thousand keys, known and unknown', () => {
    const keys = Array.from({ length: 20_000 }, (_, index) => `k${index}: ${index}`);
    expect(within(10_000, keys.join('\n')).length).toBeGreaterThan(19_999);
    const named = keys.map((key) => key.replace(': ', ': "').replace(/$/, '"'));
    expect(within(10_000, around(`nop:\nprobe: { named: { ${named.join(', ')} } }`))).toEqual([]);
  });

  test('of one megabyte in one value, one line, or one comment', () => {
    const large = 'x'.repeat(1024 ** 2);
    expect(within(10_000, around(`nop:\nprobe: { text: "${large}" }`))).toEqual([]);
    expect(within(10_000, `${around('nop:')}# ${large}`)).toEqual([]);
    const { problems } = load(around(`nop:\nprobe: { number: "${large}" }`));
    expect(problems[0]?.message.length).toBeLessThan(200);
    expect(problems[0]?.excerpt?.text.length).toBeLessThan(120);
  });

  test('of keys that objects have of themselves', () => {
    const text = around(
      'nop:\nprobe: { named: { constructor: a, toString: b, hasOwnProperty: c } }',
    );
    expect(within(10_000, text)).toEqual([]);
    expect(within(10_000, around('nop:\nprobe: { __proto__: { list: 5 } }'))).toEqual([
      '3:12: "__proto__" cannot be a key',
    ]);
    for (const name of ['constructor', 'toString', '__proto__']) {
      const [problem] = within(10_000, around(`nop:\n${name}: {}`));
      expect(problem).toMatch(/unknown type|cannot be a key/);
    }
    expect(({} as { list?: unknown }).list).toBeUndefined();
  });

  test('of control characters does not reach the terminal with them', () => {
    const { problems } = load(around('nop:\nprobe: { number: "\u001b[31m\u202e" }'));
    expect(JSON.stringify(problems)).not.toMatch(/\u001b|\\u001b\[31m"|\u202e/);
  });
});

test('whatever the text, the answer is a configuration or a problem at a place in it', () => {
  const words = fc.constantFrom(
    ...['receivers:', 'exporters:', 'service:', 'pipelines:', 'logs:', 'nop', 'tcp:', 'probe:'],
    ...['- ', '  ', '    ', '\n', '\n  ', '\n    ', ': ', '{', '}', '[', ']', ',', '"', "'", '|\n'],
    ...[
      '&a ',
      '*a',
      '<<: ',
      '!!str ',
      '${env:A}',
      '$$',
      '#',
      '\t',
      'null',
      '0x1F',
      '\u2028',
      '\r\n',
    ],
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 40 }), (parts) => {
      const text = parts.join('');
      const lines = text.split('\n').length;
      const { config, problems } = load(text, { A: 'nop: [' });
      expect(config === undefined).toBe(problems.length > 0);
      for (const { line, column } of problems) {
        expect(line).toBeGreaterThan(0);
        expect(line).toBeLessThanOrEqual(lines);
        expect(column).toBeGreaterThan(0);
      }
    }),
    { numRuns: 500 },
  );
});
