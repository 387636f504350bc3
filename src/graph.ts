// The components of one configuration and how they hang together. A graph can be built beside a running one and take
// over from it every component whose configuration did not change.

import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Catalogue } from './components.ts';
import type { Config, Instance } from './config/config.ts';
import type { Context, Exporter, Log, Processor, Receiver } from './pipeline/component.ts';
import { DeadLetter } from './pipeline/dead_letter.ts';
import { DiskOrMemoryQueue } from './pipeline/disk_or_memory.ts';
import { DiskQueue } from './pipeline/disk_queue/disk_queue.ts';
import { MemoryQueue } from './pipeline/memory_queue.ts';
import { Pipeline, type Stage, stage } from './pipeline/pipeline.ts';
import type { Queue, QueueSettings } from './pipeline/queue.ts';
import { type RetrySettings, Sender } from './pipeline/sender.ts';
import type { Metrics } from './telemetry/metrics.ts';

export type ReceiverNode = {
  readonly instance: Instance;
  readonly receiver: Receiver;
  readonly context: Context;
};
export type ExporterNode = {
  readonly instance: Instance;
  readonly exporter: Exporter;
  readonly context: Context;
  readonly queue: Queue;
  readonly sender: Sender;
  /** Folder of the disk queue, which only one queue at a time may use. */
  readonly folder: string | undefined;
};
export type StageNode = {
  readonly pipeline: string;
  readonly instance: Instance;
  readonly stage: Stage;
};

/** What the graph needs from the daemon. */
export type Surroundings = {
  readonly catalogue: Catalogue;
  readonly metrics: Metrics;
  context(instance: Instance): Context;
  scope(instance: Instance): Log;
  /** For the command line: a disk queue that cannot be opened is an error, and nothing takes its place. */
  readonly offline?: boolean;
};

export type Graph = {
  readonly config: Config;
  readonly receivers: readonly ReceiverNode[];
  readonly stages: readonly StageNode[];
  readonly exporters: readonly ExporterNode[];
  readonly pipelines: readonly Pipeline[];
};

/** Builds, and starts nothing. Nodes of `former` with an equal configuration are used again. */
export function buildGraph(config: Config, around: Surroundings, former?: Graph): Graph {
  const used = (kind: 'receivers' | 'exporters', { id }: Instance): boolean =>
    config.pipelines.some((pipeline) => pipeline[kind].includes(id));
  const exporters = config.exporters
    .filter((instance) => used('exporters', instance))
    .map(
      (instance) =>
        former?.exporters.find((node) => isSame(node.instance, instance)) ??
        exporterNode(instance, around),
    );
  const stages: StageNode[] = [];
  const pipelines = config.pipelines.map(({ id, processors, exporters: names }) => {
    const own = processors.flatMap((name) => {
      const instance = config.processors.find((one) => one.id === name);
      return instance === undefined ? [] : [stageNode(id, instance, around, former)];
    });
    stages.push(...own);
    const queues = names.flatMap((name) => {
      const node = exporters.find(({ instance }) => instance.id === name);
      return node === undefined ? [] : [node.queue];
    });
    return new Pipeline(
      id,
      own.map((node) => node.stage),
      queues,
    );
  });
  const receivers = config.receivers
    .filter((instance) => used('receivers', instance))
    .map(
      (instance) =>
        former?.receivers.find((node) => isSame(node.instance, instance)) ??
        receiverNode(instance, around),
    );
  return { config, receivers, stages, exporters, pipelines };
}

/** The pipelines that name a receiver. */
export function pipelinesOf(graph: Graph, receiver: string): readonly Pipeline[] {
  const ids = graph.config.pipelines.filter(({ receivers }) => receivers.includes(receiver));
  return graph.pipelines.filter(({ id }) => ids.some((pipeline) => pipeline.id === id));
}

/** Nodes of `of` that `other` does not have. */
export function missingIn<T>(of: readonly T[], other: readonly T[]): T[] {
  return of.filter((node) => !other.includes(node));
}

const isSame = (a: Instance, b: Instance): boolean =>
  a.id === b.id && a.kind === b.kind && isDeepStrictEqual(a.raw, b.raw);

/** A receiver that is not started. */
export function receiverNode(instance: Instance, around: Surroundings): ReceiverNode {
  const type = found(around.catalogue.receivers, instance);
  const context = around.context(instance);
  return { instance, context, receiver: type.create(instance.config, context) };
}

function stageNode(
  pipeline: string,
  instance: Instance,
  around: Surroundings,
  former: Graph | undefined,
): StageNode {
  const known = former?.stages.find(
    (node) => node.pipeline === pipeline && isSame(node.instance, instance),
  );
  if (known !== undefined) return known;
  const type = found(around.catalogue.processors, instance);
  const processor: Processor = type.create(instance.config, around.context(instance));
  const log = around.scope(instance);
  return {
    pipeline,
    instance,
    stage: stage(around.metrics, { id: instance.id, pipeline, processor, log }),
  };
}

/**
 * Where an exporter's records are kept; undefined without a state directory. Each id has a name of its own: what is
 * neither a letter nor a digit nor one of - _ . is escaped as in a URL, as the file receiver does for its checkpoints.
 */
export function placesOf(
  id: string,
  stateDirectory: string | undefined,
): { queueFolder: string | undefined; deadLetterFile: string | undefined } {
  const name = encodeURIComponent(id);
  const inState = (...parts: string[]): string | undefined =>
    stateDirectory === undefined ? undefined : resolve(stateDirectory, ...parts);
  return {
    queueFolder: inState('queue', name),
    deadLetterFile: inState('dead_letter', `${name}.jsonl`),
  };
}

type ExporterSettings = {
  readonly queue: QueueSettings;
  readonly retry_on_failure: RetrySettings;
  readonly timeout: number;
};

function exporterNode(instance: Instance, around: Surroundings): ExporterNode {
  const type = found(around.catalogue.exporters, instance);
  const context = around.context(instance);
  const exporter = type.create(instance.config, context);
  // Every exporter's schema has these: components.ts adds them.
  const settings = instance.config as ExporterSettings;
  const { queueFolder, deadLetterFile } = placesOf(instance.id, context.stateDirectory);
  const deadLetter = new DeadLetter({
    path: deadLetterFile,
    exporter: instance.id,
    bytesMax: 1024 ** 3,
    degraded: context.degraded,
  });
  const sender = new Sender({
    exporter,
    context,
    retry: settings.retry_on_failure,
    timeoutMs: settings.timeout,
    deadLetter,
  });
  if (settings.queue.type === 'memory') {
    const queue = new MemoryQueue(settings.queue, sender, context);
    return { instance, exporter, context, sender, queue, folder: undefined };
  }
  const folder = queueFolder;
  if (folder === undefined) {
    throw new Error(`exporter ${instance.id}: a disk queue needs service.state_directory`);
  }
  const Kind = around.offline ? DiskQueue : DiskOrMemoryQueue;
  const queue = new Kind(folder, settings.queue, sender, context);
  return { instance, exporter, context, sender, queue, folder };
}

function found<T>(types: Readonly<Record<string, T>>, instance: Instance): T {
  const type = types[instance.type];
  if (type === undefined) throw new Error(`there is no ${instance.kind} ${instance.type}`);
  return type;
}
