import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineFramer } from '../../../src/encoding/framing/framer.ts';
import { LineGatherer, type LineSource } from '../../../src/encoding/framing/gatherer.ts';
import type { Batch } from '../../../src/pipeline/batch.ts';
import { type TestContext, testContext } from '../../support/collect.ts';

type Bench = {
  readonly context: TestContext;
  readonly gatherer: LineGatherer;
  readonly batches: Batch[];
  /** How often word came that there is room. */
  rooms(): number;
  source(name: string): LineSource;
  /** Lines with the source's name, in the order of delivery. */
  seen(): [string, string][];
};

function bench(options: { budgetBytes?: number; lingerMs?: number } = {}): Bench {
  const context = testContext(
    options.budgetBytes === undefined ? {} : { budgetBytes: options.budgetBytes },
  );
  const kept = { bytes: 0 };
  const batches: Batch[] = [];
  let rooms = 0;
  const policy = { lineBytesMax: 4096, tooLong: 'split' } as const;
  const gatherer = new LineGatherer(
    {
      policy,
      lingerMs: options.lingerMs ?? 60_000,
      handOver: (batch) => batches.push(batch),
      onRoom: () => {
        rooms++;
      },
    },
    context,
  );
  return {
    context,
    gatherer,
    batches,
    rooms: () => rooms,
    source: (name) => ({
      framer: new LineFramer({
        framing: 'newline',
        policy,
        facts: { peer: name, host: 'here' },
        counts: gatherer.counts,
        kept,
      }),
      own: undefined,
      lastShared: undefined,
    }),
    seen: () =>
      batches.flatMap((batch) =>
        Array.from({ length: batch.rows }, (_, row): [string, string] => [
          String(batch.record(row).attributes['peer']),
          batch.line(row),
        ]),
      ),
  };
}

test('the gatherer keeps the order of each connection, whoever else sends, and its facts', () => {
  const sizes = fc.constantFrom(1, 20, 300, 33_000, 65_000);
  const steps = fc.array(fc.tuple(fc.nat(4), sizes), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (reads) => {
      const { gatherer, source, seen, batches } = bench();
      const sources = ['a', 'b', 'c', 'd', 'e'].map((name) => ({
        name,
        source: source(name),
        next: 0,
      }));
      for (const [index, size] of reads) {
        const from = sources[index] as (typeof sources)[number];
        const lines: string[] = [];
        for (let bytes = 0; bytes < size; bytes += 200) {
          lines.push(`${from.name}${from.next++}`.padEnd(199, '.'));
        }
        expect(gatherer.take(from.source, Buffer.from(`${lines.join('\n')}\n`))).toBe(true);
      }
      gatherer.close();
      for (const { name, next } of sources) {
        const own = seen().filter(([peer]) => peer === name);
        const wanted = Array.from({ length: next }, (_, i) => `${name}${i}`.padEnd(199, '.'));
        expect(own.map(([, line]) => line)).toEqual(wanted);
      }
      for (const batch of batches) expect(batch.record(0).attributes['host']).toBe('here');
    }),
    { numRuns: 60 },
  );
});

describe('a batch', () => {
  test('of one connection has its facts as its own, not per row', () => {
    const { gatherer, source, batches } = bench();
    gatherer.take(source('a'), Buffer.from('1\n2\n'));
    gatherer.close();
    expect(batches[0]?.columns).toEqual([]);
    expect(batches[0]?.attributes).toEqual({ peer: 'a', host: 'here' });
  });

  test('of several has only what differs per row', () => {
    const { gatherer, source, batches } = bench();
    gatherer.take(source('a'), Buffer.from('1\n'));
    gatherer.take(source('b'), Buffer.from('2\n3\n'));
    gatherer.close();
    expect(batches[0]?.columns.map(({ name }) => name)).toEqual(['peer']);
    expect(batches[0]?.attributes).toEqual({ host: 'here' });
  });

  test('of countless short lines is made into several', () => {
    const { gatherer, source, batches, seen } = bench();
    gatherer.take(source('a'), Buffer.from('x\n'.repeat(30_000)));
    gatherer.take(source('b'), Buffer.from('y\n'.repeat(100)));
    gatherer.close();
    expect(Math.max(...batches.map(({ rows }) => rows))).toBeLessThanOrEqual(2048);
    expect(seen().filter(([peer, line]) => peer === 'a' && line === 'x')).toHaveLength(30_000);
    expect(seen().filter(([peer, line]) => peer === 'b' && line === 'y')).toHaveLength(100);
  });

  test('of little data holds little memory and little of the budget', () => {
    const { gatherer, source, batches, context } = bench();
    gatherer.take(source('a'), Buffer.from('1\n'));
    gatherer.flush();
    expect(batches[0]?.bytes.length).toBeLessThan(256);
    expect(context.budget.usedBytes).toBeLessThan(512);
  });

  test('is handed over after the linger, and not before', async () => {
    const { gatherer, source, batches } = bench({ lingerMs: 20 });
    gatherer.take(source('a'), Buffer.from('1\n'));
    expect(batches).toHaveLength(0);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(batches).toHaveLength(1);
    gatherer.close();
  });
});

test('a connection that is busy does not take the buffer of those that are not', () => {
  const { gatherer, source, batches } = bench();
  const busy = source('busy');
  const slow = source('slow');
  gatherer.take(slow, Buffer.from('1\n'));
  gatherer.take(busy, Buffer.from(`${'x'.repeat(99)}\n`.repeat(400)));
  gatherer.take(slow, Buffer.from('2\n'));
  gatherer.close();
  expect(batches.map((batch) => [batch.attributes['peer'], batch.rows])).toEqual([
    ['busy', 400],
    ['slow', 2],
  ]);
});

test('without budget nothing is taken, and word comes when there is room', async () => {
  const { gatherer, source, batches, context, rooms } = bench({ budgetBytes: 4_000_000 });
  const other = context.wholeBudget.share();
  await other.take(3_900_000);
  const line = Buffer.from(`${'x'.repeat(99)}\n`);
  const a = source('a');
  await context.budget.take(1);
  expect(gatherer.take(a, line)).toBe(false);
  expect(gatherer.take(a, line)).toBe(false);
  expect(rooms()).toBe(0);
  other.give(3_900_000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(rooms()).toBe(1);
  expect(gatherer.take(a, line)).toBe(true);
  gatherer.close();
  expect(batches.map(({ rows }) => rows)).toEqual([1]);
});

test('lines that vanish and lines that are cut are counted', () => {
  const { gatherer, source, context } = bench();
  const a = source('a');
  gatherer.take(a, Buffer.from(`\n\r\n${'x'.repeat(5000)}\nrest`));
  expect(gatherer.finish(a)).toBe(true);
  gatherer.close();
  expect(context.dropped).toEqual({ empty_line: 2 });
  const labels = { receiver: 'test' };
  expect(context.metrics.read('meshlog_receiver_line_cuts_total', labels)).toBe(1);
  expect(context.metrics.read('meshlog_receiver_partial_lines_total', labels)).toBe(1);
});
