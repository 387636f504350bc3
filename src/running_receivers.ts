// Receivers that run, and those that are gone and still wait for their last deliveries: each with its way into the
// pipelines, which a reload changes under it.

import { type Graph, pipelinesOf, type ReceiverNode } from './graph.ts';
import { Inlet } from './inlet.ts';
import { errorChain, RefusedError } from './pipeline/errors.ts';
import { type Pipeline, receiverEdge } from './pipeline/pipeline.ts';
import type { Metrics } from './telemetry/metrics.ts';

export type RunningReceiversOptions = {
  readonly metrics: Metrics;
  /** The graph that deliveries go through now. */
  readonly graph: () => Graph;
  /** What deliveries wait for, if anything. */
  readonly gate: () => Promise<void> | undefined;
  readonly uncleanStop: (node: ReceiverNode, message: string) => void;
};

export class RunningReceivers {
  readonly #options: RunningReceiversOptions;
  readonly #inlets = new Map<ReceiverNode, Inlet>();
  readonly #leaving = new Set<Promise<void>>();

  constructor(options: RunningReceiversOptions) {
    this.#options = options;
  }

  async start(node: ReceiverNode): Promise<void> {
    const { metrics, gate } = this.#options;
    const inlet = new Inlet(receiverEdge(metrics, node.instance.id, this.#ways(node)), gate);
    this.#inlets.set(node, inlet);
    try {
      await node.receiver.start(inlet.deliver);
    } catch (error) {
      this.#inlets.delete(node);
      node.context.budget.close();
      throw error;
    }
  }

  /** Resolves when its last deliveries are settled. Never rejects. */
  stop(node: ReceiverNode): Promise<void> {
    const stopped = node.receiver
      .stop()
      .catch((error: unknown) => this.#options.uncleanStop(node, errorChain(error)))
      .then(() => {
        this.#leaving.delete(stopped);
        this.#inlets.delete(node);
        node.context.budget.close();
      });
    this.#leaving.add(stopped);
    return stopped;
  }

  /** Resolves when all that were told to stop have stopped. */
  async left(): Promise<void> {
    await Promise.all(this.#leaving);
  }

  /** Takes leave of a receiver that cannot wait for its deliveries. */
  dismiss(node: ReceiverNode): void {
    this.#inlets.get(node)?.close();
  }

  /** Where a receiver's batches go now: the pipelines that name it, or, when it is leaving, those that named it last. */
  #ways({ instance }: ReceiverNode): () => readonly Pipeline[] {
    let last: readonly string[] = [];
    return () => {
      const graph = this.#options.graph();
      const pipelines = pipelinesOf(graph, instance.id);
      if (pipelines.length > 0) {
        last = pipelines.map(({ id }) => id);
        return pipelines;
      }
      const former = graph.pipelines.filter(({ id }) => last.includes(id));
      if (former.length > 0) return former;
      throw new RefusedError('no pipeline is left that it could deliver to', { retryable: false });
    };
  }
}
