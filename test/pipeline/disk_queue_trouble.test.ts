// What may happen to a queue's folder between two processes, or while one runs on it.

import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import { DeadLetter } from '../../src/pipeline/dead_letter.ts';
import { DiskQueue } from '../../src/pipeline/disk_queue/disk_queue.ts';
import { inspectQueue, repairQueue } from '../../src/pipeline/disk_queue/inspect.ts';
import { ExportError } from '../../src/pipeline/errors.ts';
import { exporterSettings } from '../../src/pipeline/queue.ts';
import { Sender } from '../../src/pipeline/sender.ts';
import { testContext } from '../support/collect.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-trouble-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const settingsOf = z.strictObject(exporterSettings);
const now = (): AbortSignal => AbortSignal.timeout(0);
const later = (): AbortSignal => AbortSignal.timeout(5000);
const away = async (): Promise<void> => {
  throw new ExportError('peer is away', { retryable: true });
};

function queueOver(
  send: (batch: Batch) => Promise<void>,
  settings: z.input<typeof exporterSettings.queue> = {},
) {
  const context = testContext({ id: 'sink' });
  const exporter: Exporter = { export: send, stop: async () => undefined };
  const { queue, retry_on_failure } = settingsOf.parse({
    queue: { batch: { min_size: 0, flush_timeout: '1ms' }, ...settings },
    retry_on_failure: { initial_interval: '20ms', max_interval: '50ms' },
  });
  const deadLetter = new DeadLetter({ path: undefined, exporter: 'sink', bytesMax: 1e9 });
  const sender = new Sender({
    exporter,
    context,
    retry: retry_on_failure,
    timeoutMs: 0,
    deadLetter,
  });
  return { queue: new DiskQueue(folder, queue, sender, context), context };
}

const lines = (batch: Batch): string[] =>
  [...batch.selection.subarray(0, batch.count)].map((row) => batch.line(row));

/** Leaves a queue behind in which these lines wait, each a batch of its own. */
async function leave(texts: readonly string[], settings = {}): Promise<void> {
  const { queue } = queueOver(away, settings);
  await queue.start();
  for (const text of texts) await queue.put(Batch.ofLines([text]));
  await queue.stop(now());
}

async function collected() {
  const seen: string[] = [];
  const { queue, context } = queueOver(async (batch) => void seen.push(...lines(batch)));
  await queue.start();
  await new Promise((done) => setTimeout(done, 50));
  await queue.stop(later());
  return { seen, dropped: context.dropped, logged: context.logged.join('\n') };
}

const segments = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.seg'))
    .sort();
const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `line ${n}`);

test('disk_queue with one byte flipped in record 200 of 400 delivers the other 399 (B2)', async () => {
  await leave(numbered(400));
  const [name = ''] = segments();
  const bytes = readFileSync(join(folder, name));
  bytes[bytes.indexOf('line 200')] = 0;
  writeFileSync(join(folder, name), bytes);
  const { seen, dropped } = await collected();
  expect(seen).toEqual(numbered(400).filter((line) => line !== 'line 200'));
  expect(dropped).toEqual({ queue_damaged: 1 });
});

test('disk_queue whose tail is cut off at any byte delivers what is whole (B3)', async () => {
  await leave(['first', 'second']);
  const name = join(folder, segments()[0] ?? '');
  const whole = readFileSync(name);
  const second = whole.indexOf('MLQ1', 1);
  const state = readFileSync(join(folder, 'state'));
  for (let size = second; size < whole.length; size += 7) {
    writeFileSync(name, whole.subarray(0, size));
    writeFileSync(join(folder, 'state'), state);
    expect((await collected()).seen).toEqual(['first']);
    for (const other of segments()) rmSync(join(folder, other));
  }
});

for (const [what, harm] of [
  ['is missing', (path: string) => rmSync(path)],
  ['has two bad slots', (path: string) => writeFileSync(path, Buffer.alloc(1024, 7))],
  ['is cut short', (path: string) => truncateSync(path, 20)],
] as const) {
  test(`disk_queue whose state ${what} says so and delivers everything again (B6)`, async () => {
    await leave(['a', 'b']);
    harm(join(folder, 'state'));
    const { seen, logged } = await collected();
    expect(seen).toEqual(['a', 'b']);
    expect(logged).toContain('queue state is');
    expect((await collected()).seen).toEqual([]);
  });
}

test('disk_queue whose files were removed goes on, also when its state points behind them', async () => {
  await leave(['a']);
  expect((await collected()).seen).toEqual(['a']);
  for (const name of segments()) rmSync(join(folder, name));
  await leave(['b']);
  expect((await collected()).seen).toEqual(['b']);
});

test('disk_queue with a file missing in the middle skips it and delivers the rest', async () => {
  const big = ['0', '1', '2', '3', '4', '5'].map((text) => text + '.'.repeat(200_000));
  await leave(big, { size: '2MB' });
  expect(segments().length).toBeGreaterThan(2);
  rmSync(join(folder, segments()[1] ?? ''));
  const { seen } = await collected();
  expect(seen.length).toBeLessThan(6);
  expect(seen.at(-1)?.[0]).toBe('5');
});

test('disk_queue started ten times without draining does not grow (B10)', async () => {
  await leave(numbered(50));
  const size = (): number =>
    segments().reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  const before = size();
  for (let i = 0; i < 10; i++) await leave([]);
  expect(size()).toBe(before);
  expect(segments().length).toBeLessThanOrEqual(2);
  expect((await collected()).seen).toEqual(numbered(50));
});

test('disk_queue never takes more than its size (B12)', async () => {
  const { queue } = queueOver(away, { size: '1MB' });
  await queue.start();
  for (let i = 0; i < 40; i++) {
    void queue.put(Batch.ofLines(['x'.repeat(70_000)])).catch(() => undefined);
  }
  await new Promise((done) => setTimeout(done, 200));
  const size = segments().reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  expect(size).toBeGreaterThan(800_000);
  expect(size).toBeLessThanOrEqual(1_000_000);
  await queue.stop(now());
});

test('disk_queue takes a batch that is larger than a file, and than the queue (B13)', async () => {
  const large = 'y'.repeat(3_000_000);
  await leave([large], { size: '1MB' });
  expect((await collected()).seen).toEqual([large]);
});

test('disk_queue of a newer format is left alone (B14)', async () => {
  await leave(['a']);
  const path = join(folder, 'state');
  const bytes = readFileSync(path);
  for (const at of [0, 512]) {
    if (bytes.readDoubleLE(at) === 0) continue;
    bytes.writeUInt32LE(2, at + 24);
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 28)), at + 28);
  }
  writeFileSync(path, bytes);
  await expect(queueOver(away).queue.start()).rejects.toThrow('newer meshlog');
  expect(readFileSync(path)).toEqual(bytes);
});

test('disk_queue delivers a small backlog of an earlier process although no company comes', async () => {
  await leave(['a']);
  const seen: string[] = [];
  const { queue } = queueOver(async (batch) => void seen.push(...lines(batch)), {
    batch: { min_size: '128KiB', flush_timeout: '20ms' },
  });
  await queue.start();
  await new Promise((done) => setTimeout(done, 150));
  expect(seen).toEqual(['a']);
  await queue.stop(later());
});

test('disk_queue can be repaired: what is whole is kept, the rest is gone', async () => {
  await leave(['first', 'second', 'third']);
  const name = join(folder, segments()[0] ?? '');
  const bytes = readFileSync(name);
  bytes[bytes.indexOf('second')] = 0;
  writeFileSync(name, bytes);
  appendFileSync(name, 'garbage');
  expect((await inspectQueue(folder)).damagedBytes).toBeGreaterThan(0);
  expect(await repairQueue(folder)).toMatchObject({ kept: 2 });
  expect(await inspectQueue(folder)).toMatchObject({ records: 2, damagedBytes: 0, inUse: false });
  expect((await collected()).seen).toEqual(['first', 'third']);
});
