// The only place that holds data. One queue per exporter: bounded, batching, draining; what is behind it (sender.ts)
// retries. Here: what both kinds have in common. memory_queue.ts and disk_queue/ are the kinds.

import { z } from 'zod';
import { bytes, duration } from '../config/fields.ts';
import type { Batch } from './batch.ts';
import type { Context } from './component.ts';

/** What every exporter can be told besides its own fields. */
export const exporterSettings = {
  timeout: duration()
    .prefault('10s')
    .describe('For one attempt. A longer one counts as failed and is repeated. 0: no limit.'),
  retry_on_failure: z
    .strictObject({
      enabled: z.boolean().default(true).describe('false: a failed export is not repeated.'),
      initial_interval: duration()
        .prefault('500ms')
        .describe('Upper end of the first wait; the wait itself is random below it (full jitter).'),
      max_interval: duration().prefault('30s').describe('Upper end of any wait.'),
      multiplier: z.number().min(1).default(2).describe('Growth of the upper end per failure.'),
      max_elapsed_time: duration({ isAge: true })
        .prefault('0')
        .describe('After this long a batch is given up and counted. 0: never, nothing is lost.'),
    })
    .prefault({})
    .describe('What happens when the peer is away. Retry-After and RetryInfo are honoured.'),
  queue: z
    .strictObject({
      type: z
        .enum(['memory', 'disk'])
        .default('memory')
        .describe(
          'memory: the source is acknowledged after the export. disk: once the records are delivered or on disk; while its volume cannot be written it works as memory, and says so.',
        ),
      size: bytes().prefault('64MiB').describe('How much may wait.'),
      persist_after: duration()
        .prefault('200ms')
        .describe(
          'disk: what is delivered within this time is not written, and its source is acknowledged then. A crash costs sources that cannot be asked again (tcp, envoy_als, stdin) what has come in for as long. 0: everything is written at once.',
        ),
      when_full: z
        .enum(['block', 'drop_oldest', 'drop_newest'])
        .default('block')
        .describe(
          'block: the sources wait, nothing is lost. The others lose records, and count them; in memory they also acknowledge at once, so that no other exporter has to wait.',
        ),
      concurrency: z
        .number()
        .int()
        .min(1)
        .max(64)
        .default(4)
        .describe('Exports under way at once.'),
      batch: z
        .strictObject({
          min_size: bytes()
            .prefault('128KiB')
            .describe(
              'While an export is under way, smaller batches wait for company, up to flush_timeout.',
            ),
          flush_timeout: duration()
            .prefault('100ms')
            .refine((ms) => ms > 0, {
              error: ({ input }) => `\`flush_timeout\` must be positive, found ${input}`,
            })
            .describe('The longest wait for company.'),
          max_size: bytes()
            .prefault('1MiB')
            .describe('Small batches are put together up to this size.'),
        })
        .prefault({})
        .describe('How small batches are put together.'),
    })
    .prefault({})
    .refine((queue) => queue.batch.min_size <= queue.size, {
      message: '`min_size` must be less than or equal to `queue_size`',
    })
    .refine((queue) => queue.batch.min_size <= queue.batch.max_size, {
      message: '`min_size` must be less than or equal to `max_size`',
    })
    .describe("This exporter's own queue: a slow peer does not stop the other exporters."),
} as const;

export type QueueSettings = z.output<typeof exporterSettings.queue>;

/** What a queue did not deliver by the end. `left`: in memory only; `persisted`: on disk, for the next start. */
export type Rest = { readonly left: number; readonly persisted: number };

/** Where a pipeline puts batches for one exporter. */
export type Queue = {
  /** Opens files and delivers what an earlier process left. */
  start(): Promise<void>;
  /** Shows its gauges: they belong to the one of several queues of an exporter (reload) that runs. */
  publish(): void;
  /** Resolves when the batch is delivered or persisted (or dropped, as configured); rejects with RefusedError. */
  put(batch: Batch): Promise<void>;
  /** Delivers what it can until `deadline` aborts, then lets go. */
  stop(deadline: AbortSignal): Promise<Rest>;
};

/** What waits. `oldestMs`: since when; Infinity: nothing does. */
export type Load = { readonly bytes: () => number; readonly oldestMs: () => number };

/** The gauges that every queue has. Returns their removal. */
export function queueGauges(context: Context, settings: QueueSettings, state: Load): () => void {
  const labels = { exporter: context.id, data_type: 'logs' };
  const { metrics } = context;
  const removals = [
    metrics.gauge(
      'otelcol_exporter_queue_size',
      'Bytes that wait or are under way.',
      labels,
      state.bytes,
    ),
    metrics.gauge(
      'otelcol_exporter_queue_capacity',
      'Bytes that may wait.',
      labels,
      () => settings.size,
    ),
    metrics.gauge(
      'meshlog_exporter_oldest_unacknowledged_seconds',
      'Age of the oldest batch that is not delivered; 0: none waits.',
      { exporter: context.id },
      () => {
        const since = state.oldestMs();
        return Number.isFinite(since) ? Math.max(0, context.now() - since) / 1000 : 0;
      },
    ),
  ];
  return () => {
    for (const remove of removals) remove();
  };
}

/** Without a drop for this long the next one is said again. */
const dropsQuietMs = 60_000;

/** Counts the records that a full queue gives up, and says so once when it begins. */
export function queueDrops(
  context: Context,
  { when_full }: QueueSettings,
): (records: number) => void {
  const failed = context.metrics.counter(
    'otelcol_exporter_enqueue_failed_log_records_total',
    'Records that found the queue full and were dropped, as when_full says.',
    { exporter: context.id },
  );
  let lastMs = Number.NEGATIVE_INFINITY;
  return (records) => {
    failed.add(records);
    context.drop('queue_full', records);
    const nowMs = context.now();
    if (nowMs - lastMs > dropsQuietMs) {
      context.log.error(
        `queue is full: records are dropped, as when_full: ${when_full} says, and counted in meshlog_dropped_records_total`,
      );
    }
    lastMs = nowMs;
  };
}

/** Batches that have this size go out alone: putting them together costs a copy, and saves the peer little. */
export function enoughBytes({ min_size, max_size }: QueueSettings['batch']): number {
  return Math.min(max_size, Math.max(min_size, 128 * 1024));
}

/** A little is not nothing. */
export function mebibytes(count: number): string {
  const size = count / 1024 ** 2;
  return size > 0 && size < 0.05 ? '<0.1' : size.toFixed(1);
}
