// The only place that holds data. One queue per exporter: bounded, batching, draining; what is behind it (sender.ts)
// retries. In memory a put resolves after the export, so that the promise is the acknowledgement.

import { z } from 'zod';
import { bytes, duration } from '../config/fields.ts';
import type { Counter } from '../telemetry/metrics.ts';
import type { Batch } from './batch.ts';
import type { Context } from './component.ts';
import { RefusedError } from './errors.ts';
import { mergeBatches } from './merge.ts';
import type { Sender } from './sender.ts';

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
      max_elapsed_time: duration()
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
          'memory: the source is acknowledged after the export. disk: once the records are on disk.',
        ),
      size: bytes().prefault('64MiB').describe('How much may wait.'),
      when_full: z
        .enum(['block', 'drop_oldest', 'drop_newest'])
        .default('block')
        .describe(
          'block: the sources wait, nothing is lost. The others lose records, and count them.',
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
            .describe('Smaller batches wait for company, up to flush_timeout.'),
          flush_timeout: duration()
            .prefault('100ms')
            .refine((ms) => ms > 0, {
              error: ({ input }) => `\`flush_timeout\` must be positive, found ${input}`,
            })
            .describe('The longest wait for company.'),
          max_size: bytes().prefault('1MiB').describe('Batches are put together up to this size.'),
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

/** Where a pipeline puts batches for one exporter. */
export type Queue = {
  /** Opens files and delivers what an earlier process left. */
  start(): Promise<void>;
  /** Resolves when the batch is delivered or persisted (or dropped, as configured); rejects with RefusedError. */
  put(batch: Batch): Promise<void>;
  /** Delivers what it can until `deadline` aborts, then lets go. Returns the records that were left. */
  stop(deadline: AbortSignal): Promise<{ left: number; persisted: number }>;
};

type Item = {
  readonly batch: Batch;
  readonly size: number;
  readonly sinceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};

export class MemoryQueue implements Queue {
  readonly #settings: QueueSettings;
  readonly #sender: Sender;
  readonly #context: Context;
  readonly #abort = new AbortController();
  readonly #enqueueFailed: Counter;
  #items: Item[] = [];
  /** Puts that found the queue full: they wait outside, and so do their sources. */
  #outside: Item[] = [];
  #queuedBytes = 0;
  #active = new Set<Item>();
  #running = 0;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(settings: QueueSettings, sender: Sender, context: Context) {
    this.#settings = settings;
    this.#sender = sender;
    this.#context = context;
    sender.waiting = () =>
      `0 lost, queue ${mebibytes(this.#queuedBytes)} of ${mebibytes(settings.size)} MiB`;
    this.#enqueueFailed = queueMetrics(context, settings, {
      bytes: () => this.#queuedBytes,
      oldestMs: () => this.#oldestMs(),
    });
  }

  async start(): Promise<void> {}

  put(batch: Batch): Promise<void> {
    if (this.#stopping) {
      return Promise.reject(new RefusedError('queue is stopping', { retryable: true }));
    }
    return new Promise((resolve, reject) => {
      const size = Math.max(1, batch.length);
      this.#admit({ batch, size, sinceMs: this.#context.now(), resolve, reject });
      this.#schedule();
    });
  }

  async stop(deadline: AbortSignal): Promise<{ left: number; persisted: number }> {
    this.#stopping = true;
    const giveUp = (): void => this.#abort.abort(deadline.reason);
    deadline.addEventListener('abort', giveUp);
    if (deadline.aborted) giveUp();
    this.#schedule();
    await this.#settled();
    deadline.removeEventListener('abort', giveUp);
    clearTimeout(this.#timer);
    const rest = [...this.#items, ...this.#outside];
    const left = rest.reduce((sum, item) => sum + item.batch.count, 0) + this.#abandoned;
    for (const item of rest) item.reject(new RefusedError('stopped', { retryable: true }));
    this.#items = [];
    this.#outside = [];
    return { left, persisted: 0 };
  }
  #abandoned = 0;

  #admit(item: Item): void {
    const { size, when_full } = this.#settings;
    const full = this.#queuedBytes > 0 && this.#queuedBytes + item.size > size;
    if (!full) this.#enqueue(item);
    else if (when_full === 'block') this.#outside.push(item);
    else if (when_full === 'drop_newest') this.#drop(item);
    else {
      while (this.#items.length > 0 && this.#queuedBytes + item.size > size) {
        const oldest = this.#items.shift();
        if (oldest === undefined) break;
        this.#queuedBytes -= oldest.size;
        this.#drop(oldest);
      }
      if (this.#queuedBytes > 0 && this.#queuedBytes + item.size > size) this.#drop(item);
      else this.#enqueue(item);
    }
  }

  #enqueue(item: Item): void {
    this.#items.push(item);
    this.#queuedBytes += item.size;
  }

  #drop(item: Item): void {
    this.#enqueueFailed.add(item.batch.count);
    this.#context.drop('queue_full', item.batch.count);
    item.resolve();
  }

  /** Starts as many exports as may run; a small batch waits a little for company unless the queue is stopping. */
  #schedule(): void {
    const { concurrency, batch } = this.#settings;
    while (this.#running < concurrency && this.#items.length > 0) {
      const waiting = this.#items.reduce((sum, item) => sum + item.size, 0);
      const dueMs = (this.#items[0]?.sinceMs ?? 0) + batch.flush_timeout - this.#context.now();
      if (!this.#stopping && waiting < batch.min_size && dueMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#schedule();
        }, dueMs);
        return;
      }
      void this.#export(this.#takeGroup());
    }
    if (this.#running === 0 && this.#items.length === 0) {
      for (const idle of this.#idle.splice(0)) idle();
    }
  }

  #takeGroup(): Item[] {
    const { max_size } = this.#settings.batch;
    let count = 1;
    let size = this.#items[0]?.size ?? 0;
    const source = this.#items[0]?.batch.source;
    for (const next of this.#items.slice(1)) {
      if (size + next.size > max_size || next.batch.source !== source) break;
      size += next.size;
      count++;
    }
    return this.#items.splice(0, count);
  }

  async #export(group: Item[]): Promise<void> {
    this.#running++;
    for (const item of group) this.#active.add(item);
    const merged = group.length === 1 ? undefined : mergeBatches(group.map(({ batch }) => batch));
    try {
      await this.#sender.send(merged ?? (group[0] as Item).batch, this.#abort.signal);
      for (const item of group) item.resolve();
    } catch (error) {
      const refused = new RefusedError('stopped before delivery', { retryable: true });
      refused.cause = error;
      for (const item of group) {
        this.#abandoned += item.batch.count;
        item.reject(refused);
      }
    }
    // An aborted export may still look at its bytes; only a settled one gives them back.
    if (!this.#abort.signal.aborted) merged?.release();
    this.#running--;
    for (const item of group) {
      this.#active.delete(item);
      this.#queuedBytes -= item.size;
    }
    this.#letIn();
    this.#schedule();
  }

  #letIn(): void {
    while (this.#outside.length > 0) {
      const next = this.#outside[0] as Item;
      if (this.#queuedBytes > 0 && this.#queuedBytes + next.size > this.#settings.size) return;
      this.#outside.shift();
      this.#enqueue(next);
    }
  }

  /** Resolves when nothing is under way and, unless given up, nothing waits. */
  #settled(): Promise<void> {
    if (this.#running === 0 && this.#items.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#abort.signal.addEventListener('abort', () => setTimeout(resolve, 50));
    });
  }

  #oldestMs(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const item of this.#active) oldest = Math.min(oldest, item.sinceMs);
    for (const item of this.#items) oldest = Math.min(oldest, item.sinceMs);
    return oldest;
  }
}

/** The metrics that every queue has. Returns the counter of what was not taken in. */
export function queueMetrics(
  context: Context,
  settings: QueueSettings,
  state: { bytes: () => number; oldestMs: () => number },
): Counter {
  const labels = { exporter: context.id, data_type: 'logs' };
  const { metrics } = context;
  metrics.gauge(
    'otelcol_exporter_queue_size',
    'Bytes that wait or are under way.',
    labels,
    state.bytes,
  );
  metrics.gauge(
    'otelcol_exporter_queue_capacity',
    'Bytes that may wait.',
    labels,
    () => settings.size,
  );
  metrics.gauge(
    'meshlog_exporter_oldest_unacknowledged_seconds',
    'Age of the oldest batch that is not delivered; 0: none waits.',
    { exporter: context.id },
    () => {
      const since = state.oldestMs();
      return Number.isFinite(since) ? (context.now() - since) / 1000 : 0;
    },
  );
  return metrics.counter(
    'otelcol_exporter_enqueue_failed_log_records_total',
    'Records that found the queue full and were dropped, as when_full says.',
    { exporter: context.id },
  );
}

const mebibytes = (count: number): string => (count / 1024 ** 2).toFixed(1);
