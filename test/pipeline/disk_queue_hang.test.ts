// A volume that does not answer, and exports that do not end.

import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { later, lines, now, queueFolder } from '../support/disk_queue.ts';

const folder = queueFolder();

/** Whatever is done to files from here on hangs until the result is called: all threads that could do it wait for a pipe. */
function hangingFiles(): () => Promise<void> {
  const pipe = join(folder.path, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const readers = Array.from({ length: 4 }, () => open(pipe, 'r'));
  return async () => {
    const writer = openSync(pipe, constants.O_RDWR);
    for (const reader of await Promise.all(readers)) await reader.close();
    closeSync(writer);
  };
}

test('disk_queue whose volume hangs says so, goes on when it answers again, and nothing is missing', async () => {
  const seen: string[] = [];
  const send = async (batch: Batch): Promise<void> => void seen.push(...lines(batch));
  const { queue, context } = folder.over(send, { persist_after: '10ms' });
  await queue.start();
  const goOn = hangingFiles();
  const puts = ['a', 'b'].map((text) => queue.put(Batch.ofLines([text])));
  await sleep(2200);
  expect(context.logged.join()).toContain(
    'does not answer, its sources wait: no answer for 2000 ms',
  );
  await goOn();
  await Promise.all(puts);
  expect(await queue.stop(later())).toEqual({ left: 0, persisted: 0 });
  expect(context.logged.join()).toContain('no longer degraded: the volume of the disk queue');
  expect(seen).toEqual(['a', 'b']);
});

test('disk_queue whose volume hangs ends in time, and refuses what nobody knows to be on disk', async () => {
  const { queue } = folder.over(async () => undefined, { persist_after: '0' });
  await queue.start();
  const goOn = hangingFiles();
  const puts = ['a', 'b'].map((text) => queue.put(Batch.ofLines([text])));
  const outcomes = Promise.allSettled(puts);
  const startedMs = performance.now();
  expect(await queue.stop(now())).toEqual({ left: 2, persisted: 0 });
  expect(performance.now() - startedMs).toBeLessThan(4000);
  const refusal = { message: 'exporter sink stopped before it was on disk', retryable: true };
  for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: refusal });
  await goOn();
});

test('disk_queue that has ended writes nothing more, also when an export that was left behind succeeds', async () => {
  let ends = 0;
  const { queue } = folder.over(
    async () => {
      await sleep(900);
      ends++;
    },
    { persist_after: '0' },
  );
  await queue.start();
  await queue.put(Batch.ofLines(['late']));
  expect(await queue.stop(now())).toEqual({ left: 0, persisted: 1 });
  expect(ends).toBe(0);
  // Descriptors of files that were closed are used again.
  const paths = Array.from({ length: 64 }, (_, i) => join(folder.path, `other-${i}`));
  const others = paths.map((path) => {
    writeFileSync(path, 'untouched');
    return openSync(path, 'r+');
  });
  while (ends === 0) await sleep(20);
  await sleep(20);
  for (const other of others) closeSync(other);
  expect(paths.map((path) => readFileSync(path, 'latin1'))).toEqual(paths.map(() => 'untouched'));
});
