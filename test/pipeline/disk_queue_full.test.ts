// A full disk queue that may drop, while exports hang and the volume fails.

import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { now, queueFolder } from '../support/disk_queue.ts';

const folder = queueFolder();

const hangs = (_: Batch, signal: AbortSignal): Promise<void> =>
  new Promise((__, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
  });
const large = (text: string): Batch => Batch.ofLines([text + '.'.repeat(200_000)]);
const isTold = (put: Promise<void>, ms: number): Promise<boolean> =>
  Promise.race([put.then(() => true), sleep(ms).then(() => false)]);

test('disk_queue that drops the oldest makes room while all exports hang, whatever files they are in', async () => {
  const { queue, context } = folder.over(hangs, {
    when_full: 'drop_oldest',
    size: '500kB',
    persist_after: '0',
    concurrency: 2,
    batch: { min_size: 0, max_size: '1KiB' },
  });
  await queue.start();
  // Each takes a file of its own.
  for (const text of ['0', '1', '2', '3', '4']) {
    expect(await isTold(queue.put(large(text)), 1000)).toBe(true);
  }
  expect(context.dropped).toEqual({ queue_full: 3 });
  await queue.stop(now());
  expect((await folder.collected()).seen.map((line) => line[0])).toEqual(['3', '4']);
});

test('disk_queue that drops the oldest goes on once a file can be begun again', async () => {
  const { queue, context } = folder.over(hangs, {
    when_full: 'drop_oldest',
    size: '300kB',
    persist_after: '0',
    concurrency: 1,
  });
  await queue.start();
  await queue.put(large('0'));
  const [only] = readdirSync(folder.path).filter((name) => name.endsWith('.seg'));
  const next = join(folder.path, `${String(Number.parseInt(only!, 10) + 1).padStart(16, '0')}.seg`);
  writeFileSync(next, '');
  const second = queue.put(large('1'));
  expect(await isTold(second, 300)).toBe(false);
  rmSync(next);
  expect(await isTold(second, 1000)).toBe(true);
  expect(context.dropped).toEqual({ queue_full: 1 });
  await queue.stop(now());
  expect((await folder.collected()).seen.map((line) => line[0])).toEqual(['1']);
});
