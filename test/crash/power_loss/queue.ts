// The real queue on disk, with an exporter that does what it is told.

import { z } from 'zod';
import type { Batch } from '../../../src/pipeline/batch.ts';
import { DeadLetter } from '../../../src/pipeline/dead_letter.ts';
import { DiskQueue } from '../../../src/pipeline/disk_queue/disk_queue.ts';
import { exporterSettings } from '../../../src/pipeline/queue.ts';
import { Sender } from '../../../src/pipeline/sender.ts';
import { testContext } from '../../support/collect.ts';

const settingsOf = z.strictObject(exporterSettings);

export function queueIn(folder: string, send: (batch: Batch) => Promise<void>): DiskQueue {
  const context = testContext({ id: 'sink' });
  const { queue, retry_on_failure } = settingsOf.parse({
    // Files of 256 KiB.
    queue: {
      size: '2MiB',
      concurrency: 3,
      // Some are delivered before they are written, some while they are, some after.
      persist_after: '2ms',
      batch: { min_size: 0, flush_timeout: '1ms', max_size: '32KiB' },
    },
    retry_on_failure: { initial_interval: '3ms', max_interval: '5ms' },
  });
  const sender = new Sender({
    exporter: { export: send, stop: async () => undefined },
    context,
    retry: retry_on_failure,
    timeoutMs: 0,
    deadLetter: new DeadLetter({ path: undefined, exporter: 'sink', bytesMax: 0 }),
  });
  return new DiskQueue(folder, queue, sender, context);
}

export const linesOf = (batch: Batch): string[] =>
  [...batch.selection.subarray(0, batch.count)].map((row) => batch.line(row));
