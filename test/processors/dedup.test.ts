import { describe, expect, test } from 'vitest';
import type { Batch } from '../../src/pipeline/batch.ts';
import { dedup } from '../../src/processors/dedup/dedup.ts';
import { batchOf, type PlainRecord } from '../access_log/filter/records.ts';
import { testContext } from '../support/collect.ts';

/** A dedup with a clock, and what goes on of each batch: field `n` and the count. */
function start(settings: object = {}) {
  let now = 1000;
  const context = testContext({ id: 'dedup', now: () => now });
  const processor = dedup.create(dedup.config.parse(settings), context);
  const passed = (batch: Batch): unknown[] => {
    const fork = processor.process(batch.fork());
    return Array.from(fork.selection.subarray(0, fork.count), (row) => {
      const { attributes, body } = fork.record(row);
      const name = attributes['n'] ?? body;
      const count = attributes['dedup.count'];
      return count === undefined ? name : [name, count];
    });
  };
  let observedMs = 0;
  const send = (...records: PlainRecord[]): unknown[] => {
    const batch = batchOf(records);
    batch.observedMs = observedMs++;
    return passed(batch);
  };
  return {
    send,
    passed,
    context,
    wait: (ms: number) => {
      now += ms;
    },
  };
}

const ignore = ['n', 'request.time'];
const of = (n: number, code = 500): PlainRecord => ({
  n,
  'response.code': code,
  'request.time': `t${n}`,
});

describe('dedup', () => {
  test('lets the first of identical records through, and tells of the others of its batch', () => {
    const { send, context } = start({ ignore });
    expect(send(of(1), of(2), of(3, 404), of(4))).toEqual([[1, 3], 3]);
    const read = () =>
      context.metrics.read('meshlog_dedup_suppressed_records_total', { processor: 'dedup' });
    expect(read()).toBe(2);
    expect(send(of(5))).toEqual([]);
    expect(read()).toBe(3);
  });

  test('lets the next one through when the window is over, with those left out before it', () => {
    const { send, wait } = start({ ignore, window: '10s' });
    expect(send(of(1))).toEqual([1]);
    wait(9999);
    expect(send(of(2), of(3))).toEqual([]);
    wait(1);
    expect(send(of(4))).toEqual([[4, 3]]);
    wait(10_000);
    expect(send(of(5))).toEqual([5]);
  });

  test('tells of what was left out however long it takes until the next one', () => {
    const { send, wait } = start({ ignore, window: '1s' });
    send(of(1));
    send(of(2));
    wait(3_600_000);
    for (let i = 0; i < 10; i++) send(of(100 + i, 200 + i));
    expect(send(of(3))).toEqual([[3, 2]]);
  });

  test('looks only at the fields that are named', () => {
    const { send } = start({ fields: ['response.code', 'request.headers.x-a'] });
    expect(send({ n: 1, 'response.code': 500 }, { n: 2, 'response.code': 500 })).toEqual([[1, 2]]);
    expect(send({ n: 3, 'response.code': 500, 'request.headers.x-a': 'b' })).toEqual([3]);
  });

  test('by default looks past times, ids, durations and sizes', () => {
    const { send } = start();
    const record = (i: number): PlainRecord => ({
      'request.method': 'GET',
      'request.id': `id${i}`,
      'request.duration': i,
      'timing.x': i,
      'response.flags': ['UF'],
    });
    expect(send(record(1), record(2), record(3))).toHaveLength(1);
    expect(send({ ...record(4), 'response.flags': ['NR'] })).toHaveLength(1);
  });

  test('tells fields apart, whatever the order of the columns', () => {
    const { send } = start({ ignore: ['n'] });
    expect(send({ n: 1, a: 'x', b: 'y' })).toEqual([1]);
    expect(send({ b: 'y', n: 2, a: 'x' })).toEqual([]);
    expect(send({ n: 3, a: 'y', b: 'x' })).toEqual([3]);
    expect(send({ n: 4, a: 'xy' })).toEqual([4]);
  });

  test('compares the bodies of records that could not be parsed', () => {
    const { passed } = start();
    const batch = batchOf([{ a: 'same' }, { a: 'same' }, { a: 'else' }]);
    batch.columns.length = 0;
    batch.body = undefined;
    expect(passed(batch)).toEqual([['same', 2], 'else']);
  });

  test('keeps records of different resources apart', () => {
    const { passed } = start({ ignore });
    const batch = batchOf([of(1), of(2), of(3)]);
    batch.resources = [{ pod: 'a' }, { pod: 'b' }];
    batch.resourceOf = new Uint16Array([0, 1, 0]);
    expect(passed(batch)).toEqual([[1, 2], 2]);
  });

  test('lets a batch that was refused through again, with the same counts', () => {
    const { passed, send, wait } = start({ ignore });
    send(of(9, 404));
    send(of(8, 404));
    wait(10_000);
    const batch = batchOf([of(1), of(2), of(3, 404)]);
    batch.observedMs = 77;
    expect(passed(batch)).toEqual([
      [1, 2],
      [3, 2],
    ]);
    expect(passed(batch)).toEqual([
      [1, 2],
      [3, 2],
    ]);
  });

  test('remembers a bounded number of records', () => {
    const { send } = start({ ignore, records_max: 2 });
    send(of(1, 1), of(2, 2), of(3, 3));
    expect(send(of(4, 3), of(5, 1))).toEqual([5]);
  });

  test('goes on when the clock is set back', () => {
    const { send, wait } = start({ ignore, window: '10s' });
    send(of(1));
    wait(-3_600_000);
    expect(send(of(2))).toEqual([2]);
  });
});
