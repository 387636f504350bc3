import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { Dictionary, ESCAPED, NESTED, NUMBER, TEXT } from '../../src/pipeline/column.ts';
import { keptLines, readKept } from '../../src/pipeline/kept_record.ts';

const line = '{"a":"x\\u0041","n":-12.5,"big":9007199254740993,"l":[1,{"k":null}]}';

function sample(): Batch {
  const batch = Batch.ofLines([line, 'second']);
  batch.addColumn('a').setSpan(0, ESCAPED, 6, 13);
  batch.addColumn('n').setSpan(0, NUMBER, line.indexOf('-12.5'), line.indexOf('-12.5') + 5);
  const big = line.indexOf('900');
  batch.addColumn('big').setSpan(0, NUMBER, big, big + 16);
  batch.addColumn('l').setSpan(0, NESTED, line.indexOf('['), line.indexOf(']') + 1);
  return batch;
}

test('batch decodes cells by their kind, and absent is undefined', () => {
  const record = sample().record(0);
  expect(record.attributes).toEqual({
    a: 'xA',
    n: -12.5,
    big: 9007199254740993n,
    l: [1, { k: null }],
  });
  expect(record.body).toBe(line);
  expect(sample().record(1).attributes).toEqual({});
});

test('batch keeps integers of 64 bits, doubles, booleans, codes and held values', () => {
  const batch = Batch.ofLines(['x']);
  const dictionary = new Dictionary();
  batch.addColumn('i').setInt(0, -(2 ** 40) - 5);
  batch.addColumn('b').setBigInt(0, -9223372036854775808n);
  batch.addColumn('d').setDouble(0, 0.1);
  batch.addColumn('t').setBoolean(0, true);
  batch.addCodes('c', dictionary).setCode(0, dictionary.code('v'));
  batch.setValue(batch.addColumn('h'), 0, { deep: [1n, 'x'] });
  expect(batch.record(0).attributes).toEqual({
    i: -(2 ** 40) - 5,
    b: -9223372036854775808n,
    d: 0.1,
    t: true,
    c: 'v',
    h: { deep: [1n, 'x'] },
  });
});

test('batch narrows its selection and keeps the order', () => {
  const batch = Batch.ofLines(['a', 'b', 'c', 'd']);
  batch.keep((row) => row !== 1);
  batch.keep((row) => row !== 3);
  expect([...batch.selection.subarray(0, batch.count)]).toEqual([0, 2]);
});

test('batch forks see their own columns and selection, and never change each other', () => {
  const batch = sample();
  const one = batch.fork();
  const two = batch.fork();
  one.keep((row) => row === 1);
  one.ownColumn('n').setInt(0, 7);
  one.addColumn('extra').setInt(0, 1);
  two.removeColumn('a');
  expect(one.record(0).attributes).toMatchObject({ n: 7, extra: 1, a: 'xA' });
  expect(two.record(0).attributes).toEqual({
    n: -12.5,
    big: 9007199254740993n,
    l: [1, { k: null }],
  });
  expect(two.count).toBe(2);
  one.release();
  two.release();
  expect(batch.record(0).attributes).toMatchObject({ a: 'xA', n: -12.5 });
});

test('batch takes the time of a row from text or from a number', () => {
  const text = '2020-10-23T11:15:19.184Z';
  const batch = Batch.ofLines([text, 'x']);
  const time = batch.recordColumn('time');
  time.setSpan(0, TEXT, 0, text.length);
  time.setBigInt(1, 1603451719184000001n);
  batch.time = time;
  expect(batch.record(0).time).toBe(1603451719184000000n);
  expect(batch.record(1).time).toBe(1603451719184000001n);
});

test('batch renames a field in its place, for this fork only', () => {
  const batch = sample();
  const fork = batch.fork();
  fork.renameColumn('a', 'n');
  fork.renameColumn('none', 'x');
  expect(fork.columns.map(({ name }) => name)).toEqual(['n', 'big', 'l']);
  expect(fork.record(0).attributes['n']).toBe('xA');
  expect(fork.column('a')).toBeUndefined();
  expect(batch.record(0).attributes).toMatchObject({ a: 'xA', n: -12.5 });
});

test('batch has a field named __proto__ as any other, also in what is kept of it', () => {
  const batch = Batch.ofLines(['value']);
  batch.addColumn('__proto__').setSpan(0, TEXT, 0, 5);
  expect(Object.entries(batch.record(0).attributes)).toEqual([['__proto__', 'value']]);
  const kept = readKept(keptLines(batch, {}));
  expect(Object.entries(kept?.record.attributes ?? {})).toEqual([['__proto__', 'value']]);
});
