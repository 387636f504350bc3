// What may happen to a queue's folder between two processes, or while one runs on it.

import {
  appendFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { inspectQueue, repairQueue } from '../../src/pipeline/disk_queue/inspect.ts';
import { away, later, lines, now, queueFolder } from '../support/disk_queue.ts';
import { eventually } from '../support/sockets.ts';

const folder = queueFolder();

/** Leaves a queue behind in which these lines wait, each a batch of its own. */
async function leave(texts: readonly string[], settings = {}): Promise<void> {
  const { queue } = folder.over(away, settings);
  await queue.start();
  for (const text of texts) await queue.put(Batch.ofLines([text]));
  await queue.stop(now());
}

const segments = (): string[] =>
  readdirSync(folder.path)
    .filter((name) => name.endsWith('.seg'))
    .sort();
const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `line ${n}`);

test('disk_queue with one byte flipped in record 200 of 400 delivers the other 399 (B2)', async () => {
  await leave(numbered(400));
  const [name = ''] = segments();
  const bytes = readFileSync(join(folder.path, name));
  bytes[bytes.indexOf('line 200')] = 0;
  writeFileSync(join(folder.path, name), bytes);
  const { seen, dropped } = await folder.collected();
  expect(seen).toEqual(numbered(400).filter((line) => line !== 'line 200'));
  expect(dropped).toEqual({ queue_damaged: 1 });
});

test('disk_queue whose tail is cut off at any byte delivers what is whole (B3)', async () => {
  await leave(['first', 'second']);
  const name = join(folder.path, segments()[0] ?? '');
  const whole = readFileSync(name);
  const second = whole.indexOf('MLQ1', 1);
  const state = readFileSync(join(folder.path, 'state'));
  for (let size = second; size < whole.length; size += 7) {
    writeFileSync(name, whole.subarray(0, size));
    writeFileSync(join(folder.path, 'state'), state);
    expect((await folder.collected()).seen).toEqual(['first']);
    for (const other of segments()) rmSync(join(folder.path, other));
  }
});

for (const [what, harm] of [
  ['is missing', (path: string) => rmSync(path)],
  ['has two bad slots', (path: string) => writeFileSync(path, Buffer.alloc(1024, 7))],
  ['is cut short', (path: string) => truncateSync(path, 20)],
] as const) {
  test(`disk_queue whose state ${what} says so and delivers everything again (B6)`, async () => {
    await leave(['a', 'b']);
    harm(join(folder.path, 'state'));
    const { seen, logged } = await folder.collected();
    expect(seen).toEqual(['a', 'b']);
    expect(logged).toContain('queue state is');
    expect((await folder.collected()).seen).toEqual([]);
  });
}

test('disk_queue whose files were removed goes on, also when its state points behind them', async () => {
  await leave(['a']);
  expect((await folder.collected()).seen).toEqual(['a']);
  for (const name of segments()) rmSync(join(folder.path, name));
  await leave(['b']);
  expect((await folder.collected()).seen).toEqual(['b']);
});

test('disk_queue with a file missing in the middle skips it and delivers the rest', async () => {
  const big = ['0', '1', '2', '3', '4', '5'].map((text) => text + '.'.repeat(200_000));
  await leave(big, { size: '2MB' });
  expect(segments().length).toBeGreaterThan(2);
  rmSync(join(folder.path, segments()[1] ?? ''));
  const { seen } = await folder.collected();
  expect(seen.length).toBeLessThan(6);
  expect(seen.at(-1)?.[0]).toBe('5');
});

test('disk_queue started ten times without draining does not grow (B10)', async () => {
  await leave(numbered(50));
  const size = (): number =>
    segments().reduce((sum, name) => sum + statSync(join(folder.path, name)).size, 0);
  const before = size();
  for (let i = 0; i < 10; i++) await leave([]);
  expect(size()).toBe(before);
  expect(segments().length).toBeLessThanOrEqual(2);
  expect((await folder.collected()).seen).toEqual(numbered(50));
});

test('disk_queue never takes more than its size (B12)', async () => {
  const { queue } = folder.over(away, { size: '1MB' });
  await queue.start();
  for (let i = 0; i < 40; i++) {
    void queue.put(Batch.ofLines(['x'.repeat(70_000)])).catch(() => undefined);
  }
  const size = (): number =>
    segments().reduce((sum, name) => sum + statSync(join(folder.path, name)).size, 0);
  await eventually(() => size() > 800_000);
  await new Promise((done) => setTimeout(done, 200));
  expect(size()).toBeLessThanOrEqual(1_000_000);
  await queue.stop(now());
});

test('disk_queue takes a batch that is larger than a file, and than the queue (B13)', async () => {
  const large = 'y'.repeat(3_000_000);
  await leave([large], { size: '1MB' });
  expect((await folder.collected()).seen).toEqual([large]);
});

test('disk_queue of a newer format is left alone (B14)', async () => {
  await leave(['a']);
  const path = join(folder.path, 'state');
  const bytes = readFileSync(path);
  for (const at of [0, 512]) {
    if (bytes.readDoubleLE(at) === 0) continue;
    bytes.writeUInt32LE(2, at + 24);
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 28)), at + 28);
  }
  writeFileSync(path, bytes);
  await expect(folder.over(away).queue.start()).rejects.toThrow('newer meshlog');
  expect(readFileSync(path)).toEqual(bytes);
});

test('disk_queue delivers a small backlog of an earlier process although no company comes', async () => {
  await leave(['a']);
  const seen: string[] = [];
  const { queue } = folder.over(async (batch) => void seen.push(...lines(batch)), {
    batch: { min_size: '128KiB', flush_timeout: '20ms' },
  });
  await queue.start();
  await new Promise((done) => setTimeout(done, 150));
  expect(seen).toEqual(['a']);
  await queue.stop(later());
});

test('disk_queue can be repaired: what is whole is kept, the rest is gone', async () => {
  await leave(['first', 'second', 'third']);
  const name = join(folder.path, segments()[0] ?? '');
  const bytes = readFileSync(name);
  bytes[bytes.indexOf('second')] = 0;
  writeFileSync(name, bytes);
  appendFileSync(name, 'garbage');
  expect((await inspectQueue(folder.path)).damagedBytes).toBeGreaterThan(0);
  expect(await repairQueue(folder.path)).toMatchObject({ kept: 2 });
  expect(await inspectQueue(folder.path)).toMatchObject({
    records: 2,
    damagedBytes: 0,
    inUse: false,
  });
  expect((await folder.collected()).seen).toEqual(['first', 'third']);
});

test('disk_queue is ready at once whatever waits in it: a start reads sizes, no content (B11)', async () => {
  await leave(['a']);
  const [first = ''] = segments();
  // 64 GiB, of which the file system has nothing: reading them would take minutes.
  for (let n = 1; n <= 64; n++) {
    const name = String(Number(first.slice(0, 16)) + n).padStart(16, '0');
    writeFileSync(join(folder.path, `${name}.seg`), '');
    truncateSync(join(folder.path, `${name}.seg`), 2 ** 30);
  }
  const { queue, context } = folder.over(away, { size: '100GB' });
  const startMs = performance.now();
  await queue.start();
  expect(performance.now() - startMs).toBeLessThan(1000);
  expect(context.logged.join()).toContain('65536.0 MiB wait in the disk queue from before');
  await queue.stop(now());
});
