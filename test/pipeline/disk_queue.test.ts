import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { away, later, lines, now, queueFolder } from '../support/disk_queue.ts';

const folder = queueFolder();

test('disk_queue delivers in order what is put, and gives the space back', async () => {
  const seen: string[] = [];
  const { queue } = folder.over(async (batch) => void seen.push(...lines(batch)), {
    concurrency: 1,
  });
  await queue.start();
  const wanted = Array.from({ length: 300 }, (_, n) => `line ${n}`);
  await Promise.all(wanted.map((line) => queue.put(Batch.ofLines([line]))));
  expect(await queue.stop(later())).toEqual({ left: 0, persisted: 0 });
  expect(seen).toEqual(wanted);
  expect((await folder.collected()).seen).toEqual([]);
});

test('disk_queue acknowledges while the peer is away, and the next process delivers', async () => {
  const { queue } = folder.over(away);
  await queue.start();
  await queue.put(Batch.ofLines(['a', 'b']));
  await queue.put(Batch.ofLines(['c']));
  expect(await queue.stop(now())).toEqual({ left: 0, persisted: 3 });
  expect((await folder.collected()).seen).toEqual(['a', 'b', 'c']);
  expect((await folder.collected()).seen).toEqual([]);
});

test('disk_queue skips what is damaged, counts it, and delivers the rest', async () => {
  const { queue } = folder.over(away);
  await queue.start();
  for (const text of ['first', 'second', 'third']) await queue.put(Batch.ofLines([text]));
  await queue.stop(now());
  const name = join(
    folder.path,
    readdirSync(folder.path).find((one) => one.endsWith('.seg')) ?? '',
  );
  const bytes = readFileSync(name);
  bytes[bytes.indexOf('second')] = 0x53;
  writeFileSync(name, bytes);
  const { seen, dropped, logged } = await folder.collected();
  expect(seen).toEqual(['first', 'third']);
  expect(dropped).toEqual({ queue_damaged: 1 });
  expect(logged).toContain('damaged bytes');
});

test('disk_queue finds the next whole batch behind a damaged header and ignores a torn end', async () => {
  const { queue } = folder.over(away);
  await queue.start();
  for (const text of ['first', 'second', 'third']) await queue.put(Batch.ofLines([text]));
  await queue.stop(now());
  const name = join(
    folder.path,
    readdirSync(folder.path).find((one) => one.endsWith('.seg')) ?? '',
  );
  const bytes = readFileSync(name);
  const magic = Buffer.from('MLQ1');
  const second = bytes.indexOf(magic, bytes.indexOf(magic) + 1);
  bytes[second + 5] = 0xee;
  writeFileSync(name, Buffer.concat([bytes, bytes.subarray(0, 50)]));
  const { seen, logged } = await folder.collected();
  expect(seen).toEqual(['first', 'third']);
  expect(logged).toContain('unfinished write');
});

test('disk_queue refuses a second process on the same folder', async () => {
  const { queue } = folder.over(away);
  await queue.start();
  const other = folder.over(away).queue;
  await expect(other.start()).rejects.toThrow('another process uses the queue');
  await queue.stop(now());
});

const big = (text: string): Batch => Batch.ofLines([text + '.'.repeat(400_000)]);

for (const [when_full, wanted] of [
  ['drop_newest', ['0', '1']],
  ['drop_oldest', ['2', '3']],
] as const) {
  test(`disk_queue that is full drops as when_full says, and counts: ${when_full}`, async () => {
    const { queue, context } = folder.over(away, { when_full, size: '1MB', concurrency: 1 });
    await queue.start();
    for (const text of ['0', '1', '2', '3']) await queue.put(big(text));
    await queue.stop(now());
    expect(context.dropped['queue_full']).toBe(2);
    expect((await folder.collected()).seen.map((line) => line[0])).toEqual(wanted);
  });
}

test('disk_queue that is full makes the source wait, loses nothing, and goes on when the peer is back', async () => {
  const seen: string[] = [];
  let open = false;
  const { queue, context } = folder.over(
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
