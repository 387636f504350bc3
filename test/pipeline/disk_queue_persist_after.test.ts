// What is delivered soon does not go to disk; what takes longer does, while its export goes on.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { away, later, lines, now, queueFolder } from '../support/disk_queue.ts';
import { eventually } from '../support/sockets.ts';

const folder = queueFolder();

const bytesOnDisk = (): number =>
  readdirSync(folder.path)
    .filter((name) => name.endsWith('.seg'))
    .reduce((sum, name) => sum + statSync(join(folder.path, name)).size, 0);
const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `line ${n}`);

/** An exporter whose peer answers when it is told to, and what has come to it. */
function heldPeer() {
  const seen: string[] = [];
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const send = async (batch: Batch, signal: AbortSignal): Promise<void> => {
    const texts = lines(batch);
    const ended = new Promise<void>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    await Promise.race([opened, ended]);
    seen.push(...texts);
  };
  return { seen, send, open };
}

test('disk_queue writes nothing of what is delivered within persist_after, but for a trial now and then', async () => {
  const seen: string[] = [];
  const { queue } = folder.over(
    async (batch) => {
      await sleep(2);
      seen.push(...lines(batch));
    },
    { persist_after: '5s', concurrency: 3 },
  );
  await queue.start();
  await queue.put(Batch.ofLines(['trial'.repeat(20_000)]));
  const trial = bytesOnDisk();
  expect(trial).toBeGreaterThan(100_000);
  const put = async (text: string): Promise<void> => {
    await queue.put(Batch.ofLines([text]));
    expect(seen).toContain(text);
  };
  await Promise.all(numbered(200).map(put));
  expect(bytesOnDisk()).toBe(trial);
  expect(await queue.stop(later())).toEqual({ left: 0, persisted: 0 });
  expect((await folder.collected()).seen).toEqual([]);
});

test('disk_queue writes at once while there is nothing else to do', async () => {
  const { queue } = folder.over(heldPeer().send, { persist_after: '1m' });
  await queue.start();
  await queue.put(Batch.ofLines(['first']));
  const before = bytesOnDisk();
  expect(before).toBeGreaterThan(0);
  expect(await queue.stop(now())).toEqual({ left: 0, persisted: 1 });
});

test('disk_queue writes what is not delivered in time, tells its source, and does not send it twice', async () => {
  const peer = heldPeer();
  const { queue } = folder.over(peer.send, { persist_after: '20ms', concurrency: 2 });
  await queue.start();
  await Promise.all(numbered(6).map((text) => queue.put(Batch.ofLines([text]))));
  expect(peer.seen).toEqual([]);
  expect(bytesOnDisk()).toBeGreaterThan(0);
  peer.open();
  await queue.put(Batch.ofLines(['last']));
  expect(await queue.stop(later())).toEqual({ left: 0, persisted: 0 });
  expect(peer.seen.sort()).toEqual(['last', ...numbered(6)]);
  expect((await folder.collected()).seen).toEqual([]);
});

test('disk_queue leaves what is being exported at the end to the next process, also what was not written until then', async () => {
  const peer = heldPeer();
  const { queue } = folder.over(peer.send, { persist_after: '1m', concurrency: 2 });
  await queue.start();
  await queue.put(Batch.ofLines(['trial']));
  const puts = numbered(5).map((text) => queue.put(Batch.ofLines([text])));
  await sleep(20);
  const stopped = queue.stop(AbortSignal.timeout(200));
  await Promise.all(puts);
  expect(await stopped).toEqual({ left: 0, persisted: 6 });
  expect((await folder.collected()).seen).toEqual(['trial', ...numbered(5)]);
});

test('disk_queue lets each source wait for persist_after, whatever was written meanwhile', async () => {
  const { queue } = folder.over(heldPeer().send, { persist_after: '1s', concurrency: 2 });
  await queue.start();
  await queue.put(Batch.ofLines(['trial']));
  const first = queue.put(Batch.ofLines(['first']));
  await sleep(550);
  const startedMs = performance.now();
  const second = queue.put(Batch.ofLines(['second']));
  await first;
  // Not old enough to be written with the first one.
  expect(performance.now() - startedMs).toBeLessThan(900);
  await second;
  expect(performance.now() - startedMs).toBeGreaterThan(900);
  expect(performance.now() - startedMs).toBeLessThan(1300);
  expect(await queue.stop(now())).toEqual({ left: 0, persisted: 3 });
});

test('disk_queue does not let sources wait for an exporter that hangs, batch after batch', async () => {
  const { queue } = folder.over(heldPeer().send, { persist_after: '300ms', concurrency: 1 });
  await queue.start();
  await queue.put(Batch.ofLines(['trial']));
  const takes = async (text: string): Promise<number> => {
    const startedMs = performance.now();
    await queue.put(Batch.ofLines([text]));
    return performance.now() - startedMs;
  };
  expect(await takes('first')).toBeGreaterThan(200);
  const times: number[] = [];
  for (const text of numbered(20)) times.push(await takes(text));
  // One more may have to wait before it is known that nothing moves.
  expect(times.filter((ms) => ms > 250).length).toBeLessThan(2);
  expect(await queue.stop(now())).toEqual({ left: 0, persisted: 22 });
});

test('disk_queue that may drop lets nobody wait for what is on its way when it is full, and counts it if it does not arrive', async () => {
  const peer = heldPeer();
  const { queue, context } = folder.over(peer.send, {
    when_full: 'drop_newest',
    size: '600kB',
    persist_after: '400ms',
    concurrency: 2,
    batch: { min_size: 0, max_size: '1KiB' },
  });
  const large = (text: string): Batch => Batch.ofLines([text + '.'.repeat(400_000)]);
  await queue.start();
  // The first is on disk and fills the queue. The second is on its way, the others find nothing that moves.
  for (const text of ['0', '1', '2', '3']) await queue.put(large(text));
  expect(context.dropped).toEqual({ queue_full: 2 });
  await queue.stop(now());
  expect(context.dropped).toEqual({ queue_full: 3 });
  expect((await folder.collected()).seen.map((line) => line[0])).toEqual(['0']);
});

test('disk_queue delivers each batch once, however long exports take and whatever is being written meanwhile', async () => {
  let seed = 7;
  const random = (): number => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  const seen: string[] = [];
  const { queue } = folder.over(
    async (batch) => {
      const texts = lines(batch);
      await sleep(random() < 0.1 ? 25 : random() * 6);
      if (random() < 0.02) return away();
      seen.push(...texts);
    },
    { persist_after: '4ms', concurrency: 3, size: '1MB', batch: { min_size: 0, max_size: '4KiB' } },
  );
  await queue.start();
  const open = new Set<Promise<void>>();
  const wanted = numbered(600);
  for (const text of wanted) {
    const source = Batch.ofLines([text + '.'.repeat(random() < 0.1 ? 20_000 : 10)]);
    const put: Promise<void> = queue.put(source).finally(() => {
      source.release();
      // Whatever comes into the same memory.
      Batch.ofLines(['-'.repeat(20_100)]).release();
      open.delete(put);
    });
    open.add(put);
    if (open.size > 12) await Promise.race(open);
  }
  await Promise.all(open);
  // A queue that stops while its peer is away leaves the rest on disk.
  await eventually(() => seen.length >= wanted.length);
  expect(await queue.stop(later())).toEqual({ left: 0, persisted: 0 });
  expect(seen.map((line) => line.replace(/\.+$/, '')).sort()).toEqual(wanted.sort());
  expect((await folder.collected()).seen).toEqual([]);
});
