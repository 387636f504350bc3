import { expect, test } from 'vitest';
import { compileCel } from '../../../../src/access_log/filter/cel/cel.ts';
import { celAny, celText } from '../../../../src/access_log/filter/cel/render.ts';
import { batchOf } from '../records.ts';

for (const [expression, text, typed] of [
  ['request.headers[":method"]', 'GET', 'GET'],
  ['request.headers.nope', undefined, undefined],
  ['request.path + "!"', '/a!', '/a!'],
  ['xds.node.id', 'node_name', 'node_name'],
  ['timestamp("2023-08-26T12:39:00-07:00")', '2023-08-26T19:39:00+00:00', '2023-08-26T19:39:00Z'],
  [
    'timestamp("2023-08-26T12:39:00.5Z")',
    '2023-08-26T12:39:00.5+00:00',
    '2023-08-26T12:39:00.500Z',
  ],
  ['duration("90m")', '1h30m', '5400s'],
  ['duration("20ms")', '20ms', '0.02s'],
  ['duration("0")', '0', '0s'],
  ['request.duration', '1.5s', '1.5s'],
  ['bytes("hello")', 'hello', 'aGVsbG8='],
  ['["foo", 42, true]', 'CelList value', ['foo', 42, true]],
  ['{"foo": "42"}', 'CelMap value', { foo: '42' }],
  ['response.code', '200', 200],
  ['response.flags', '32', 32],
  ['response.code >= 400', 'false', false],
  ['1.5 * 2.5', '3.75', 3.75],
  ['12345678.9', '1.23457e+07', 12345678.9],
  ['0.00001', '1e-05', 0.00001],
] as const) {
  test(`CEL(${expression}) prints ${text}`, () => {
    const batch = batchOf([
      {
        'request.method': 'GET',
        'request.path': '/a',
        'request.duration': 1500,
        'response.code': 200,
        'response.flags': ['UF'],
      },
    ]);
    batch.resource = { 'envoy.node.id': 'node_name' };
    const program = compileCel(expression, { lenient: true });
    program.bind(batch);
    expect(celText(program.value(0))).toBe(text);
    expect(celAny(program.value(0))).toEqual(typed);
  });
}
