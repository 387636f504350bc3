// A disk queue over a folder of the test's own, with an exporter that the test plays.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { z } from 'zod';
import type { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import { DeadLetter } from '../../src/pipeline/dead_letter.ts';
import { DiskQueue } from '../../src/pipeline/disk_queue/disk_queue.ts';
import { ExportError } from '../../src/pipeline/errors.ts';
import { exporterSettings } from '../../src/pipeline/queue.ts';
import { Sender } from '../../src/pipeline/sender.ts';
import { type TestContext, testContext } from './collect.ts';

const settingsOf = z.strictObject(exporterSettings);

/** Deadlines of a queue's stop: none at all, and one that tests do not reach. */
export const now = (): AbortSignal => AbortSignal.timeout(0);
export const later = (): AbortSignal => AbortSignal.timeout(5000);

/** A peer that is away. */
export const away = async (): Promise<void> => {
  throw new ExportError('peer is away', { retryable: true });
};

/** The lines of the selected rows. */
export const lines = (batch: Batch): string[] =>
  [...batch.selection.subarray(0, batch.count)].map((row) => batch.line(row));

/** What a queue delivered, dropped and logged. */
export type Collected = {
  readonly seen: string[];
  readonly dropped: Record<string, number>;
  readonly logged: string;
};

/** A folder for each test, and queues over it. */
export type QueueFolder = {
  readonly path: string;
  /** A queue over the folder, not started, whose exporter is `send`. Small batches go out at once. */
  over(
    send: Exporter['export'],
    settings?: z.input<typeof exporterSettings.queue>,
  ): { readonly queue: DiskQueue; readonly context: TestContext };
  /** What the next process delivers. */
  collected(): Promise<Collected>;
};

/** Call it at the top of a test file: it makes and removes the folders. */
export function queueFolder(): QueueFolder {
  let path = '';
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'meshlog-queue-'));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));
  const over: QueueFolder['over'] = (send, settings = {}) => {
    const context = testContext({ id: 'sink' });
    const { queue, retry_on_failure, timeout } = settingsOf.parse({
      queue: { batch: { min_size: 0, flush_timeout: '1ms' }, ...settings },
      retry_on_failure: { initial_interval: '20ms', max_interval: '50ms' },
    });
    const sender = new Sender({
      exporter: { export: send, stop: async () => undefined },
      context,
      retry: retry_on_failure,
      timeoutMs: timeout,
      deadLetter: new DeadLetter({ path: undefined, exporter: 'sink', bytesMax: 1e9 }),
    });
    return { queue: new DiskQueue(path, queue, sender, context), context };
  };
  return {
    get path() {
      return path;
    },
    over,
    async collected() {
      const seen: string[] = [];
      const { queue, context } = over(async (batch) => void seen.push(...lines(batch)));
      await queue.start();
      await new Promise((done) => setTimeout(done, 30));
      await queue.stop(later());
      return { seen, dropped: context.dropped, logged: context.logged.join('\n') };
    },
  };
}
