// The way of a batch from a receiver to the queues, measured at the edges.

import type { Counter, Metrics } from '../telemetry/metrics.ts';
import type { Batch } from './batch.ts';
import type { Deliver, Log, Processor } from './component.ts';
import { errorChain } from './errors.ts';
import type { Queue } from './queue.ts';

/** A processor with its counters. */
export type Stage = {
  readonly id: string;
  readonly processor: Processor;
  readonly incoming: Counter;
  readonly outgoing: Counter;
  readonly failed: Counter;
  readonly log: Log;
  /** Microseconds spent, measured per batch. */
  readonly cpu: Counter;
};

/** Processors in their order, then every exporter's queue. One instance per pipeline in the configuration. */
export class Pipeline {
  readonly id: string;
  readonly #stages: readonly Stage[];
  readonly #queues: readonly Queue[];
  #broken = new Set<string>();

  constructor(id: string, stages: readonly Stage[], queues: readonly Queue[]) {
    this.id = id;
    this.#stages = stages;
    this.#queues = queues;
  }

  /**
   * Runs the processors over a fork of the batch and hands the rest to every queue. Resolves when all queues have taken
   * over; rejects when one refused, after the others have settled.
   */
  async deliver(source: Batch): Promise<void> {
    const made: Batch[] = [source.fork()];
    const batch = this.#process(made);
    if (batch.count > 0) await settleAll(this.#queues.map((queue) => queue.put(batch)));
    for (const one of made) one.release();
  }

  #process(made: Batch[]): Batch {
    let batch = made[0] as Batch;
    for (const stage of this.#stages) {
      stage.incoming.add(batch.count);
      const before = performance.now();
      try {
        const result = stage.processor.process(batch);
        if (result !== batch) made.push(result);
        batch = result;
      } catch (error) {
        // A defect of ours must not lose records: they go on as they are, and the state is said once.
        stage.failed.add(batch.count);
        if (!this.#broken.has(stage.id)) {
          this.#broken.add(stage.id);
          stage.log.error(`failed and is passed over for some records: ${errorChain(error)}`);
        }
      }
      stage.cpu.add((performance.now() - before) / 1000);
      stage.outgoing.add(batch.count);
      if (batch.count === 0) break;
    }
    return batch;
  }
}

/** Waits for all, then rejects with the first rejection, so that nobody still holds the batch. */
async function settleAll(puts: readonly Promise<void>[]): Promise<void> {
  if (puts.length === 1) return puts[0];
  const results = await Promise.allSettled(puts);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** The counters of a stage. */
export function stage(
  metrics: Metrics,
  options: { id: string; pipeline: string; processor: Processor; log: Log },
): Stage {
  const labels = { processor: options.id, otel_signal: 'logs', pipeline: options.pipeline };
  const count = (name: string, help: string): Counter => metrics.counter(name, help, labels);
  return {
    id: options.id,
    processor: options.processor,
    log: options.log,
    incoming: count('otelcol_processor_incoming_items_total', 'Records that came in.'),
    outgoing: count('otelcol_processor_outgoing_items_total', 'Records that went out.'),
    failed: count(
      'meshlog_processor_failed_records_total',
      'Records that a defect of the processor left unprocessed.',
    ),
    cpu: count('otelcol_processor_internal_duration_seconds_total', 'Time spent inside.'),
  };
}

/** What a receiver is given: delivers to every pipeline that names it, and counts at the edge. */
export function receiverEdge(
  metrics: Metrics,
  receiver: string,
  pipelines: () => readonly Pipeline[],
): Deliver {
  const labels = { receiver, transport: receiver.split('/')[0] ?? receiver };
  const accepted = metrics.counter(
    'otelcol_receiver_accepted_log_records_total',
    'Records that the pipelines have taken over.',
    labels,
  );
  const refused = metrics.counter(
    'otelcol_receiver_refused_log_records_total',
    'Records that the pipelines have refused: the source keeps them.',
    labels,
  );
  const bytes = metrics.counter('meshlog_receiver_bytes_total', 'Bytes of records received.', {
    receiver,
  });
  let waiting = 0;
  metrics.gauge(
    'meshlog_receiver_unacknowledged_records',
    'Records that were handed over and are not yet acknowledged.',
    { receiver },
    () => waiting,
  );
  return async (batch) => {
    const { count } = batch;
    waiting += count;
    bytes.add(batch.length);
    try {
      await settleAll(pipelines().map((pipeline) => pipeline.deliver(batch)));
      accepted.add(count);
    } catch (error) {
      refused.add(count);
      throw error;
    } finally {
      waiting -= count;
    }
  };
}
