import { expect, test } from 'vitest';
import { z } from 'zod';
import { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import { DeadLetter } from '../../src/pipeline/dead_letter.ts';
import { ExportError } from '../../src/pipeline/errors.ts';
import { MemoryQueue } from '../../src/pipeline/memory_queue.ts';
import { exporterSettings, mebibytes } from '../../src/pipeline/queue.ts';
import { Sender } from '../../src/pipeline/sender.ts';
import { testContext } from '../support/collect.ts';

const settingsOf = z.strictObject(exporterSettings);

/** A queue over an exporter that is a function, with settings as the user writes them. */
function queueOver(
  send: (batch: Batch, signal: AbortSignal) => Promise<void>,
  settings: z.input<typeof settingsOf> = {},
) {
  const context = testContext({ id: 'sink' });
  const exporter: Exporter = { export: send, stop: async () => undefined };
  const { queue, retry_on_failure, timeout } = settingsOf.parse({
    ...settings,
    retry_on_failure: {
      initial_interval: '20ms',
      max_interval: '50ms',
      ...settings.retry_on_failure,
    },
  });
  const deadLetter = new DeadLetter({ path: undefined, exporter: 'sink', bytesMax: 1e9 });
  const sender = new Sender({
    exporter,
    context,
    retry: retry_on_failure,
    timeoutMs: timeout,
    deadLetter,
  });
  return { queue: new MemoryQueue(queue, sender, context), context };
}

const lines = (batch: Batch): string[] =>
  [...batch.selection.subarray(0, batch.count)].map((row) => batch.line(row));

const small = { batch: { min_size: 0, flush_timeout: '1ms' } } as const;
const never = new AbortController().signal;

test('queue resolves a put only after the export', async () => {
  let release = (): void => undefined;
  const seen: string[] = [];
  const { queue } = queueOver(
    async (batch) => {
      seen.push(...lines(batch));
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    },
    { queue: small },
  );
  let settled = false;
  const put = queue.put(Batch.ofLines(['a'])).then(() => {
    settled = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(seen).toEqual(['a']);
  expect(settled).toBe(false);
  release();
  await put;
});

test('queue exports at once while nothing is under way, and puts together what waits, in order', async () => {
  const exports: string[][] = [];
  const { queue } = queueOver(async (batch) => void exports.push(lines(batch)), {
    queue: { batch: { min_size: '1MiB', flush_timeout: '30ms' } },
  });
  await Promise.all(['a', 'b', 'c'].map((line) => queue.put(Batch.ofLines([line]))));
  expect(exports).toEqual([['a'], ['b', 'c']]);
});

test('queue repeats what failed, with one probe at a time, until the peer is back', async () => {
  let failures = 5;
  let concurrent = 0;
  let most = 0;
  const seen: string[] = [];
  const { queue, context } = queueOver(
    async (batch) => {
      concurrent++;
      if (failures < 5) most = Math.max(most, concurrent);
      await new Promise((resolve) => setTimeout(resolve, 5));
      concurrent--;
      if (failures > 0) {
        failures--;
        throw new ExportError('peer is away', { retryable: true });
      }
      seen.push(...lines(batch));
    },
    { queue: { ...small, concurrency: 1 } },
  );
  await Promise.all(['a', 'b'].map((line) => queue.put(Batch.ofLines([line]))));
  expect(seen.sort()).toEqual(['a', 'b']);
  expect(most).toBe(1);
  expect(context.metrics.read('meshlog_exporter_retries_total', { exporter: 'sink' })).toBe(5);
  expect(
    context.metrics.read('otelcol_exporter_sent_log_records_total', { exporter: 'sink' }),
  ).toBe(2);
});

test('queue drops for good what the peer refuses for good, and counts it', async () => {
  const { queue, context } = queueOver(
    async () => {
      throw new ExportError('bad request', { retryable: false });
    },
    { queue: small },
  );
  await queue.put(Batch.ofLines(['a', 'b']));
  expect(
    context.metrics.read('otelcol_exporter_send_failed_log_records_total', { exporter: 'sink' }),
  ).toBe(2);
});

test('queue halves what is too large until it passes', async () => {
  const sizes: number[] = [];
  const { queue } = queueOver(
    async (batch) => {
      if (batch.count > 2) throw new ExportError('413', { retryable: true, tooLarge: true });
      sizes.push(batch.count);
    },
    { queue: small },
  );
  await queue.put(Batch.ofLines(['a', 'b', 'c', 'd', 'e', 'f', 'g']));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(7);
  expect(Math.max(...sizes)).toBe(2);
});

const line = 'x'.repeat(999);
for (const [when_full, delivered, dropped] of [
  ['block', ['0', '1', '2', '3'], 0],
  ['drop_newest', ['0', '1'], 2],
  ['drop_oldest', ['0', '3'], 2],
] as const) {
  test(`queue that is full does as when_full says: ${when_full}`, async () => {
    const seen: string[] = [];
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { queue, context } = queueOver(
      async (batch) => {
        await gate;
        seen.push(...lines(batch).map((text) => text.slice(0, 1)));
      },
      { queue: { ...small, size: '2kB', when_full, concurrency: 1 } },
    );
    const puts = ['0', '1', '2', '3'].map((n) => queue.put(Batch.ofLines([n + line.slice(2)])));
    await new Promise((resolve) => setTimeout(resolve, 10));
    open();
    await Promise.all(puts);
    await queue.stop(never);
    expect(seen).toEqual(delivered);
    expect(
      context.metrics.read('otelcol_exporter_enqueue_failed_log_records_total', {
        exporter: 'sink',
      }),
    ).toBe(dropped);
    const said = context.logged.filter((line) => line.startsWith('error: queue is full'));
    expect(said).toHaveLength(dropped > 0 ? 1 : 0);
  });
}

test('queue delivers what waits when it stops, and refuses what comes later', async () => {
  const seen: string[] = [];
  const { queue } = queueOver(async (batch) => void seen.push(...lines(batch)), {
    queue: { batch: { min_size: '1MiB', flush_timeout: '10s' } },
  });
  const put = queue.put(Batch.ofLines(['late']));
  expect(await queue.stop(never)).toEqual({ left: 0, persisted: 0 });
  await put;
  expect(seen).toEqual(['late']);
  await expect(queue.put(Batch.ofLines(['x']))).rejects.toThrow('stopping');
});

test('queue lets go at the deadline and says how many records were left', async () => {
  const { queue } = queueOver(
    (_batch, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      ),
    { queue: { ...small, concurrency: 1 } },
  );
  const puts = ['a', 'b', 'c'].map((text) =>
    queue.put(Batch.ofLines([text])).catch((error) => String(error)),
  );
  const { left } = await queue.stop(AbortSignal.timeout(50));
  expect(left).toBe(3);
  expect(await Promise.all(puts)).toHaveLength(3);
});

test('queue gives up an attempt after the timeout and repeats it', async () => {
  let attempts = 0;
  const { queue } = queueOver(
    (_batch, signal) => {
      attempts++;
      if (attempts > 1) return Promise.resolve();
      return new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    },
    { queue: small, timeout: '30ms' },
  );
  await queue.put(Batch.ofLines(['a']));
  expect(attempts).toBe(2);
});

test('queue says of a little that it is not nothing', () => {
  const sizes = [0, 1, 52_000, 53_000, 64 * 1024 ** 2];
  expect(sizes.map(mebibytes)).toEqual(['0.0', '<0.1', '<0.1', '0.1', '64.0']);
});
