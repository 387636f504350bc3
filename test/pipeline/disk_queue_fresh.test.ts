// What was committed lately goes to the exporter from memory.

import { readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { away, later, lines, now, queueFolder } from '../support/disk_queue.ts';

const folder = queueFolder();
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
/** Takes much memory: twelve of them are more than is kept. */
const large = (text: string): Batch => Batch.ofLines([text + '.'.repeat(600_000)]);
const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `${n}`);
/** How many of them, one after the other, take as long as a source waits for an exporter. */
async function heldUp(
  texts: readonly string[],
  put: (text: string) => Promise<void>,
): Promise<number> {
  let count = 0;
  for (const text of texts) {
    const startedMs = performance.now();
    await put(text);
    if (performance.now() - startedMs > 900) count++;
  }
  return count;
}
const firstWords = (batch: Batch): string[] => lines(batch).map((line) => line.split('.')[0] ?? '');

test('disk_queue hands on what is still in memory without reading it back', async () => {
  const seen: string[] = [];
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { queue } = folder.over(
    async (batch) => {
      await opened;
      seen.push(...lines(batch));
    },
    { concurrency: 1 },
  );
  await queue.start();
  for (const text of ['a', 'b', 'c']) await queue.put(Batch.ofLines([text]));
  for (const name of readdirSync(folder.path)) {
    if (name.endsWith('.seg')) truncateSync(join(folder.path, name));
  }
  open();
  await queue.stop(later());
  expect(seen).toEqual(['a', 'b', 'c']);
});

test('disk_queue keeps the memory of a batch that its source has released until it is exported', async () => {
  const seen: string[] = [];
  const { queue } = folder.over(async (batch) => {
    await pause(20);
    seen.push(...lines(batch));
  });
  await queue.start();
  for (const text of numbered(20)) {
    const source = Batch.ofLines([`line ${text}`]);
    const fork = source.fork();
    await queue.put(fork);
    fork.release();
    source.release();
    Batch.ofLines(['what comes into the same memory']).release();
  }
  await queue.stop(later());
  expect(seen).toEqual(numbered(20).map((n) => `line ${n}`));
});

test('disk_queue lets sources wait a little for an exporter that works, and not for one that hangs', async () => {
  const seen: string[] = [];
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { queue } = folder.over(
    async (batch) => {
      await opened;
      seen.push(...firstWords(batch));
    },
    { concurrency: 1, batch: { min_size: 0, max_size: '1KiB' } },
  );
  await queue.start();
  let settled = 0;
  const puts = numbered(16).map((text) => queue.put(large(text)).then(() => settled++));
  while (settled <= 4) await pause(5);
  expect(settled).toBeLessThan(16);
  // The exporter has not moved for a second: the rest waits on disk, its sources do not wait.
  await Promise.all(puts);
  const more = numbered(20).slice(16);
  expect(await heldUp(more, (text) => queue.put(large(text)))).toBeLessThan(more.length);
  open();
  await queue.stop(later());
  expect(seen).toEqual(numbered(20));
});

// A busy machine may take as long now and then; a queue that lets sources wait does it every time.
test('disk_queue does not let sources wait for a peer that is away', { retry: 3 }, async () => {
  const { queue } = folder.over(away, { concurrency: 1 });
  await queue.start();
  await queue.put(Batch.ofLines(['first']));
  await pause(10);
  expect(await heldUp(numbered(16), (text) => queue.put(large(text)))).toBe(0);
  expect(await queue.stop(now())).toEqual({ left: 0, persisted: 17 });
  const { seen } = await folder.collected();
  expect(seen.map((line) => line.split('.')[0])).toEqual(['first', ...numbered(16)]);
});

test('disk_queue that has nearly caught up goes on from memory, although its source never pauses', async () => {
  // A machine that is busy elsewhere may fall behind again meanwhile.
  const most = 300;
  const made: Batch[] = [];
  const puts: Promise<void>[] = [];
  const seen: string[] = [];
  const fromMemory: boolean[] = [];
  const inMemory = (): boolean => fromMemory.slice(12).slice(-10).filter(Boolean).length === 10;
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { queue } = folder.over(
    async (batch) => {
      await opened;
      fromMemory.push(batch === made[seen.length]);
      seen.push(...firstWords(batch));
      // As much comes in as goes out: something is always left to be read.
      if (made.length < most && !inMemory()) put();
      await pause(5);
    },
    { concurrency: 1, persist_after: '0', batch: { min_size: 0, max_size: '1KiB' } },
  );
  function put(): void {
    const batch = large(`${made.length}`);
    made.push(batch);
    puts.push(queue.put(batch));
  }
  await queue.start();
  for (let n = 0; n < 12; n++) put();
  // More than fits into memory: the rest has to be read back.
  await Promise.all(puts);
  open();
  while (seen.length < made.length) await pause(5);
  await queue.stop(later());
  expect(seen).toEqual(numbered(made.length));
  expect(fromMemory.slice(0, 12)).toContain(false);
  expect(made.length).toBeLessThan(most);
});
