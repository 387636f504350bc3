import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import { DeadLetter } from '../../src/pipeline/dead_letter.ts';
import { DiskQueue } from '../../src/pipeline/disk_queue/disk_queue.ts';
import { ExportError } from '../../src/pipeline/errors.ts';
import { exporterSettings } from '../../src/pipeline/queue.ts';
import { Sender } from '../../src/pipeline/sender.ts';
import { testContext } from '../support/collect.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshlog-queue-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const settingsOf = z.strictObject(exporterSettings);
const now = (): AbortSignal => AbortSignal.timeout(0);
const later = (): AbortSignal => AbortSignal.timeout(5000);

function queueOver(
  send: (batch: Batch, signal: AbortSignal) => Promise<void>,
  settings: z.input<typeof exporterSettings.queue> = {},
) {
  const context = testContext({ id: 'sink' });
  const exporter: Exporter = { export: send, stop: async () => undefined };
  const { queue, retry_on_failure, timeout } = settingsOf.parse({
    queue: { batch: { min_size: 0, flush_timeout: '1ms' }, ...settings },
    retry_on_failure: { initial_interval: '20ms', max_interval: '50ms' },
  });
  const deadLetter = new DeadLetter({ path: undefined, exporter: 'sink', bytesMax: 1e9 });
  const sender = new Sender({
    exporter,
    context,
    retry: retry_on_failure,
    timeoutMs: timeout,
    deadLetter,
  });
  return { queue: new DiskQueue(folder, queue, sender, context), context };
}

const lines = (batch: Batch): string[] =>
  [...batch.selection.subarray(0, batch.count)].map((row) => batch.line(row));

const away = async (): Promise<void> => {
  throw new ExportError('peer is away', { retryable: true });
};

async function collected(): Promise<{
  seen: string[];
  dropped: Record<string, number>;
  logged: string[];
}> {
  const seen: string[] = [];
  const { queue, context } = queueOver(async (batch) => void seen.push(...lines(batch)));
  await queue.start();
  await new Promise((done) => setTimeout(done, 30));
  await queue.stop(later());
  return { seen, dropped: context.dropped, logged: context.logged };
}

test('disk_queue delivers in order what is put, and gives the space back', async () => {
  const seen: string[] = [];
  const { queue } = queueOver(async (batch) => void seen.push(...lines(batch)), { concurrency: 1 });
  await queue.start();
  const wanted = Array.from({ length: 300 }, (_, n) => `line ${n}`);
  await Promise.all(wanted.map((line) => queue.put(Batch.ofLines([line]))));
  expect(await queue.stop(later())).toEqual({ left: 0, persisted: 0 });
  expect(seen).toEqual(wanted);
  expect((await collected()).seen).toEqual([]);
});

test('disk_queue acknowledges while the peer is away, and the next process delivers', async () => {
  const { queue } = queueOver(away);
  await queue.start();
  await queue.put(Batch.ofLines(['a', 'b']));
  await queue.put(Batch.ofLines(['c']));
  expect(await queue.stop(now())).toEqual({ left: 0, persisted: 3 });
  expect((await collected()).seen).toEqual(['a', 'b', 'c']);
  expect((await collected()).seen).toEqual([]);
});

test('disk_queue skips what is damaged, counts it, and delivers the rest', async () => {
  const { queue } = queueOver(away);
  await queue.start();
  for (const text of ['first', 'second', 'third']) await queue.put(Batch.ofLines([text]));
  await queue.stop(now());
  const name = join(folder, readdirSync(folder).find((one) => one.endsWith('.seg')) ?? '');
  const bytes = readFileSync(name);
  bytes[bytes.indexOf('second')] = 0x53;
  writeFileSync(name, bytes);
  const { seen, dropped, logged } = await collected();
  expect(seen).toEqual(['first', 'third']);
  expect(dropped).toEqual({ queue_damaged: 1 });
  expect(logged.join()).toContain('damaged bytes');
});

test('disk_queue finds the next whole batch behind a damaged header and ignores a torn end', async () => {
  const { queue } = queueOver(away);
  await queue.start();
  for (const text of ['first', 'second', 'third']) await queue.put(Batch.ofLines([text]));
  await queue.stop(now());
  const name = join(folder, readdirSync(folder).find((one) => one.endsWith('.seg')) ?? '');
  const bytes = readFileSync(name);
  const magic = Buffer.from('MLQ1');
  const second = bytes.indexOf(magic, bytes.indexOf(magic) + 1);
  bytes[second + 5] = 0xee;
  writeFileSync(name, Buffer.concat([bytes, bytes.subarray(0, 50)]));
  const { seen, logged } = await collected();
  expect(seen).toEqual(['first', 'third']);
  expect(logged.join()).toContain('unfinished write');
});

test('disk_queue refuses a second process on the same folder', async () => {
  const { queue } = queueOver(away);
  await queue.start();
  const other = queueOver(away).queue;
  await expect(other.start()).rejects.toThrow('another process uses the queue');
  await queue.stop(now());
});

const big = (text: string): Batch => Batch.ofLines([text + '.'.repeat(400_000)]);

for (const [when_full, wanted] of [
  ['drop_newest', ['0', '1']],
  ['drop_oldest', ['2', '3']],
] as const) {
  test(`disk_queue that is full drops as when_full says, and counts: ${when_full}`, async () => {
    const { queue, context } = queueOver(away, { when_full, size: '1MB', concurrency: 1 });
    await queue.start();
    for (const text of ['0', '1', '2', '3']) await queue.put(big(text));
    await queue.stop(now());
    expect(context.dropped['queue_full']).toBe(2);
    expect((await collected()).seen.map((line) => line[0])).toEqual(wanted);
  });
}

test('disk_queue that is full makes the source wait, loses nothing, and goes on when the peer is back', async () => {
  const seen: string[] = [];
  let open = false;
  const { queue, context } = queueOver(
    async (batch) => {
      if (!open) return away();
      seen.push(...lines(batch).map((line) => line[0] ?? ''));
    },
    { size: '1MB', concurrency: 1 },
  );
  await queue.start();
  let settled = 0;
  const puts = ['0', '1', '2', '3', '4', '5'].map((text) =>
    queue.put(big(text)).then(() => settled++),
  );
  await new Promise((done) => setTimeout(done, 100));
  expect(settled).toBeLessThan(4);
  open = true;
  await Promise.all(puts);
  await queue.stop(later());
  expect(seen).toEqual(['0', '1', '2', '3', '4', '5']);
  expect(context.dropped).toEqual({});
});
