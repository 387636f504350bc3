import { Environment } from '@marcbachmann/cel-js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileCel } from '../../../../src/access_log/filter/cel/cel.ts';
import { batchOf, type PlainRecord } from '../records.ts';

// Random well-typed expressions over random records; the evaluator of cel-js is the oracle.

const oracle = new Environment({ unlistedVariablesAreDyn: true });

const text = fc.constantFrom('', 'GET', 'POST', '/a', '/a/b', 'é', 'a"b\\c', 'G');
const quoted = text.map((value) => JSON.stringify(value));

const { bool } = fc.letrec<{ bool: string; int: string; string: string }>((tie) => ({
  int: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: -9, max: 600 }).map((value) => `(${value})`),
    fc.constantFrom('response.code', 'request.size', 'response.size'),
    fc
      .tuple(tie('int'), fc.constantFrom('+', '-', '*', '/', '%'), tie('int'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    tie('string').map((value) => `size(${value})`),
    fc.tuple(tie('bool'), tie('int'), tie('int')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
  ),
  string: fc.oneof(
    { maxDepth: 3 },
    quoted,
    fc.constantFrom('request.method', 'request.path', 'request.headers["x-foo"]'),
    fc.tuple(tie('string'), tie('string')).map(([a, b]) => `(${a} + ${b})`),
  ),
  bool: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('true', 'false', 'has(request.method)', 'has(response.code)'),
    fc
      .tuple(tie('int'), fc.constantFrom('==', '!=', '<', '<=', '>', '>='), tie('int'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    fc
      .tuple(tie('string'), fc.constantFrom('==', '!=', '<', '<=', '>', '>='), tie('string'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    fc
      .tuple(tie('string'), fc.constantFrom('contains', 'startsWith', 'endsWith'), tie('string'))
      .map(([a, name, b]) => `${a}.${name}(${b})`),
    fc
      .tuple(tie('int'), fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1 }))
      .map(([a, list]) => `(${a} in [${list.join()}])`),
    fc
      .tuple(tie('string'), fc.array(quoted, { minLength: 1 }))
      .map(([a, list]) => `(${a} in [${list.join()}])`),
    fc
      .tuple(tie('bool'), fc.constantFrom('||', '&&'), tie('bool'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    tie('bool').map((a) => `!${a}`),
    fc.tuple(tie('bool'), tie('bool'), tie('bool')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
  ),
}));

const records = fc.array(
  fc.record(
    {
      'request.method': text,
      'request.path': text,
      'request.headers.x-foo': text,
      'request.size': fc.integer({ min: 0, max: 5 }),
      'response.code': fc.constantFrom(0, 200, 404, 503),
      'response.size': fc.nat(1000),
    },
    { requiredKeys: [] },
  ),
  { minLength: 1, maxLength: 4 },
);

test('cel agrees with the evaluator of cel-js', () => {
  fc.assert(
    fc.property(bool, records, fc.constantFrom('spans', 'held'), (expression, rows, form) => {
      const program = compileCel(expression);
      program.bind(batchOf(rows, form as 'spans' | 'held'));
      rows.forEach((record, row) => {
        expect([false, true, 'error'][program.test(row)]).toBe(expected(expression, record));
      });
    }),
    { numRuns: 3000 },
  );
});

function expected(expression: string, record: PlainRecord): unknown {
  const request: Record<string, unknown> = { headers: {} };
  const response: Record<string, unknown> = {};
  const { 'request.headers.x-foo': header, ...rest } = record;
  if (header !== undefined) request['headers'] = { 'x-foo': header };
  for (const [name, value] of Object.entries(rest)) {
    const [root, key] = name.split('.') as [string, string];
    (root === 'request' ? request : response)[key] =
      typeof value === 'number' ? BigInt(value) : value;
  }
  try {
    return oracle.evaluate(expression, { request, response });
  } catch {
    return 'error';
  }
}
