// The life of the process: start against the data's way (exporters first), reload beside what runs, stop along it.

import { resolve } from 'node:path';
import { AdminServer } from './admin/server.ts';
import type { Catalogue } from './components.ts';
import type { Config, Instance } from './config/config.ts';
import {
  buildGraph,
  type ExporterNode,
  type Graph,
  missingIn,
  pipelinesOf,
  type ReceiverNode,
} from './graph.ts';
import { Budget, type Share } from './pipeline/budget.ts';
import type { Context, Log } from './pipeline/component.ts';
import { errorChain } from './pipeline/errors.ts';
import { receiverEdge } from './pipeline/pipeline.ts';
import { Metrics } from './telemetry/metrics.ts';
import { processMetrics } from './telemetry/process_metrics.ts';
import { SelfLog } from './telemetry/selflog.ts';

export type DaemonOptions = {
  readonly config: Config;
  readonly catalogue: Catalogue;
  readonly version: string;
  /** Where lines of the daemon's own log go. */
  readonly write: (line: string) => void;
};

/** A start that failed, with every reason. */
export class StartError extends Error {
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(reasons.join('\n'));
    this.name = 'StartError';
    this.reasons = reasons;
  }
}

type Line = readonly [id: string, text: string];

export type Status = {
  readonly version: string;
  readonly pid: number;
  readonly phase: string;
  readonly uptimeSeconds: number;
  /** Bytes. */
  readonly budget: { readonly used: number; readonly limit: number };
  readonly pipelines: Config['pipelines'];
  readonly receivers: readonly {
    readonly id: string;
    readonly status: string;
    readonly accepted: number;
    readonly waiting: number;
  }[];
  readonly exporters: readonly {
    readonly id: string;
    readonly status: string;
    readonly sent: number;
    readonly failed: number;
    readonly queueBytes: number;
    readonly oldestSeconds: number;
    readonly retrying: boolean;
  }[];
};

export class Daemon {
  readonly metrics = new Metrics();
  readonly log: Log;
  readonly #options: DaemonOptions;
  readonly #selfLog: SelfLog;
  readonly #budget: Budget;
  #graph: Graph;
  #admin: AdminServer | undefined;
  #phase: 'starting' | 'running' | 'stopping' = 'starting';
  /** Pending while a reload swaps the pipelines: deliveries wait for it. */
  #gate: Promise<void> | undefined;
  #reloading: Promise<unknown> = Promise.resolve();

  private constructor(options: DaemonOptions, selfLog: SelfLog) {
    const { config, version } = options;
    this.#options = options;
    this.#selfLog = selfLog;
    this.log = selfLog.scope('');
    this.#budget = new Budget(config.service.memory_budget);
    processMetrics(this.metrics, version);
    this.metrics.gauge('meshlog_memory_budget_bytes', 'The byte budget of the process.', {}, () => {
      return this.#budget.limitBytes;
    });
    this.metrics.gauge('meshlog_memory_budget_used_bytes', 'Bytes that receivers hold.', {}, () => {
      return this.#budget.usedBytes;
    });
    this.#graph = { config, receivers: [], stages: [], exporters: [], pipelines: [] };
  }

  /** Builds and starts everything. Rejects with StartError, after undoing what was begun. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const { logs } = options.config.service.telemetry;
    const selfLog = await SelfLog.open({ ...logs, version: options.version, write: options.write });
    const daemon = new Daemon(options, selfLog);
    try {
      await daemon.#start(options.config);
    } catch (error) {
      await daemon.#halt(AbortSignal.timeout(1000));
      await selfLog.close();
      throw error instanceof StartError ? error : new StartError([errorChain(error)]);
    }
    return daemon;
  }

  async #start(config: Config): Promise<void> {
    const failed: string[] = [];
    await attempt(failed, 'service.admin', () => this.#openAdmin(config));
    const graph = buildGraph(config, this.#surroundings(config));
    this.#graph = { ...graph, receivers: [] };
    for (const node of graph.exporters) {
      await attempt(failed, `exporter ${node.instance.id}`, () => startExporter(node));
    }
    if (failed.length > 0) throw new StartError(failed);
    const started: ReceiverNode[] = [];
    for (const node of graph.receivers) {
      await attempt(failed, `receiver ${node.instance.id}`, async () => {
        await this.#startReceiver(node);
        started.push(node);
      });
    }
    this.#graph = { ...graph, receivers: started };
    if (failed.length > 0) throw new StartError(failed);
    this.#phase = 'running';
  }

  /** Resolves when every receiver's source is exhausted; never when one of them has no end. */
  async ended(): Promise<void> {
    await Promise.all(
      this.#graph.receivers.map(
        ({ receiver }) => receiver.ended ?? new Promise<void>(() => undefined),
      ),
    );
  }

  /** SIGHUP: exporters reopen their files. */
  async reopen(): Promise<void> {
    for (const { exporter, instance } of this.#graph.exporters) {
      await exporter.reopen?.().catch((error: unknown) => {
        this.#scope(instance).error(`cannot reopen: ${errorChain(error)}`);
      });
    }
  }

  /**
   * Runs `config` instead. Components whose configuration is the same go on undisturbed. Rejects with StartError, and
   * leaves everything as it was, when the new graph cannot be built or its exporters cannot be started.
   */
  reload(config: Config): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#reload(config));
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  async #reload(config: Config): Promise<void> {
    const old = this.#graph;
    let graph: Graph;
    try {
      graph = buildGraph(config, this.#surroundings(config), old);
    } catch (error) {
      throw new StartError([errorChain(error)]);
    }
    const fresh = missingIn(graph.exporters, old.exporters);
    const waiting = fresh.filter(({ folder }) =>
      old.exporters.some((one) => sameFolder(one, folder)),
    );
    const failed: string[] = [];
    for (const node of missingIn(fresh, waiting)) {
      await attempt(failed, `exporter ${node.instance.id}`, () => startExporter(node));
    }
    if (failed.length > 0) {
      await Promise.all(fresh.map((node) => stopExporter(node, AbortSignal.timeout(0))));
      throw new StartError(failed);
    }
    await this.#swap(old, graph, waiting);
    this.#budget.limitBytes = config.service.memory_budget;
  }

  /** Deliveries wait at the gate while queues on the same folder change hands; then receivers follow. */
  async #swap(old: Graph, graph: Graph, waiting: readonly ExporterNode[]): Promise<void> {
    let open: () => void = () => undefined;
    this.#gate = new Promise((resolve) => {
      open = resolve;
    });
    const gone = missingIn(old.exporters, graph.exporters);
    const handedOver = gone.filter(({ folder }) =>
      waiting.some((node) => sameFolder(node, folder)),
    );
    const deadline = AbortSignal.timeout(graph.config.service.grace_period);
    await Promise.all(handedOver.map((node) => stopExporter(node, deadline)));
    for (const node of waiting) {
      await startExporter(node).catch((error: unknown) => {
        this.#scope(node.instance).error(`cannot start: ${errorChain(error)}`);
      });
    }
    const kept = graph.receivers.filter((node) => old.receivers.includes(node));
    this.#graph = { ...graph, receivers: kept };
    this.#gate = undefined;
    open();
    const receivers = await this.#changeReceivers(old, graph);
    this.#graph = { ...graph, receivers: [...kept, ...receivers] };
    const rest = missingIn(gone, handedOver);
    await Promise.all(rest.map((node) => stopExporter(node, deadline)));
    const stages = missingIn(old.stages, graph.stages);
    await Promise.allSettled(stages.map((node) => node.stage.processor.stop?.()));
  }

  /** Stops what is gone or changed, starts what is new; a receiver that cannot start leaves the old one running. */
  async #changeReceivers(old: Graph, graph: Graph): Promise<ReceiverNode[]> {
    const gone = missingIn(old.receivers, graph.receivers);
    await Promise.all(gone.map(({ receiver }) => receiver.stop()));
    const running: ReceiverNode[] = [];
    for (const node of missingIn(graph.receivers, old.receivers)) {
      try {
        await this.#startReceiver(node);
        running.push(node);
      } catch (error) {
        this.#scope(node.instance).error(`cannot start: ${errorChain(error)}`);
        const before = gone.find(({ instance }) => instance.id === node.instance.id);
        if (before === undefined) continue;
        const [again] = buildGraph(old.config, this.#surroundings(old.config)).receivers.filter(
          ({ instance }) => instance.id === before.instance.id,
        );
        if (again === undefined) continue;
        await this.#startReceiver(again);
        running.push(again);
      }
    }
    return running;
  }

  /**
   * Stops the receivers, drains the queues within the grace period (or until `hurry` aborts), stops the rest. Returns
   * the number of records that could not be delivered.
   */
  async stop(hurry?: AbortSignal): Promise<number> {
    await this.#reloading;
    const grace = AbortSignal.timeout(this.#graph.config.service.grace_period);
    const deadline = hurry === undefined ? grace : AbortSignal.any([grace, hurry]);
    const { left, persisted } = await this.#halt(deadline);
    if (persisted > 0) this.log.info(`${persisted} records stay in disk queues for the next start`);
    if (left === 0) this.log.info('stopped, nothing was lost');
    else {
      this.log.error(
        `stopped with ${left} records undelivered after the grace period; files and peers that were not acknowledged still hold them`,
      );
    }
    await this.#selfLog.close();
    return left;
  }

  async #halt(deadline: AbortSignal): Promise<{ left: number; persisted: number }> {
    this.#phase = 'stopping';
    const { receivers, exporters, stages } = this.#graph;
    const stopped = Promise.allSettled(receivers.map(({ receiver }) => receiver.stop()));
    await Promise.race([stopped, aborted(deadline)]);
    const results = await Promise.all(exporters.map((node) => stopExporter(node, deadline)));
    // Their last deliveries were settled by the queues just now; a defect in one must not hold up the end.
    await Promise.race([stopped, delay(1000)]);
    await Promise.allSettled(stages.map((node) => node.stage.processor.stop?.()));
    await this.#admin?.close();
    return {
      left: results.reduce((sum, result) => sum + result.left, 0),
      persisted: results.reduce((sum, result) => sum + result.persisted, 0),
    };
  }

  /** The number of a metric's series, for status. */
  #sum(name: string, labels: Record<string, string>): number {
    return this.metrics.read(name, labels) ?? 0;
  }

  /** What `meshlog status` shows. */
  status(): Status {
    const { receivers, exporters, config } = this.#graph;
    return {
      version: this.#options.version,
      pid: process.pid,
      phase: this.#phase,
      uptimeSeconds: Math.round(performance.now() / 1000),
      budget: { used: this.#budget.usedBytes, limit: this.#budget.limitBytes },
      pipelines: config.pipelines,
      receivers: receivers.map(({ instance: { id, type }, receiver }) => ({
        id,
        status: receiver.status?.() ?? '',
        accepted: this.#sum('otelcol_receiver_accepted_log_records_total', {
          receiver: id,
          transport: type,
        }),
        waiting: this.#sum('meshlog_receiver_unacknowledged_records', { receiver: id }),
      })),
      exporters: exporters.map(({ instance: { id }, exporter, sender }) => ({
        id,
        status: exporter.status?.() ?? '',
        sent: this.#sum('otelcol_exporter_sent_log_records_total', { exporter: id }),
        failed: this.#sum('otelcol_exporter_send_failed_log_records_total', { exporter: id }),
        queueBytes: this.#sum('otelcol_exporter_queue_size', { exporter: id, data_type: 'logs' }),
        oldestSeconds: this.#sum('meshlog_exporter_oldest_unacknowledged_seconds', {
          exporter: id,
        }),
        retrying: sender.failing,
      })),
    };
  }

  /** What runs, for the start-up picture. */
  describe(): {
    receivers: Line[];
    pipelines: Line[];
    exporters: Line[];
    admin: string | undefined;
  } {
    const { config, receivers, exporters } = this.#graph;
    const { endpoint } = config.service.admin;
    const host = endpoint.kind === 'tcp' ? endpoint.host : '';
    return {
      receivers: receivers.map(({ instance, receiver }) => [
        instance.id,
        receiver.status?.() ?? '',
      ]),
      pipelines: config.pipelines.map(({ id, processors }) => [id, processors.join(' > ')]),
      exporters: exporters.map(({ instance, exporter }) => [
        instance.id,
        exporter.status?.() ?? '',
      ]),
      admin: this.#admin === undefined ? undefined : `http://${host}:${this.#admin.port}/metrics`,
    };
  }

  async #openAdmin(config: Config): Promise<void> {
    const { endpoint, enabled } = config.service.admin;
    if (!enabled || endpoint.kind !== 'tcp') return;
    this.#admin = await AdminServer.open({
      host: endpoint.host,
      port: endpoint.port,
      metrics: this.metrics,
      unready: () => (this.#phase === 'running' ? [] : [this.#phase]),
    });
  }

  async #startReceiver(node: ReceiverNode): Promise<void> {
    const { id } = node.instance;
    const edge = receiverEdge(this.metrics, id, () => pipelinesOf(this.#graph, id));
    await node.receiver.start(async (batch) => {
      if (this.#gate !== undefined) await this.#gate;
      return edge(batch);
    });
  }

  #surroundings(config: Config) {
    return {
      catalogue: this.#options.catalogue,
      metrics: this.metrics,
      context: (instance: Instance) => this.#context(config, instance),
      scope: (instance: Instance) => this.#scope(instance),
    };
  }

  #scope(instance: Instance): Log {
    return this.#selfLog.scope(`${instance.kind} ${instance.id}`);
  }

  #context({ service, baseDirectory }: Config, instance: Instance): Context {
    const drops = new Map<string, { add(count: number): void }>();
    const { metrics } = this;
    const total = this.#budget;
    let share: Share | undefined;
    return {
      id: instance.id,
      log: this.#scope(instance),
      metrics,
      // Made on first use: only receivers take from the budget, and shares are fair among those that exist.
      get budget() {
        share ??= total.share();
        return share;
      },
      stateDirectory:
        service.state_directory === undefined
          ? undefined
          : resolve(baseDirectory, service.state_directory),
      baseDirectory,
      now: () => performance.timeOrigin + performance.now(),
      random: Math.random,
      drop(reason, records) {
        let counter = drops.get(reason);
        if (counter === undefined) {
          counter = metrics.counter(
            'meshlog_dropped_records_total',
            'Records that ended here, by reason.',
            { component: `${instance.kind}/${instance.id}`, reason },
          );
          drops.set(reason, counter);
        }
        counter.add(records);
      },
    };
  }
}

const sameFolder = (node: ExporterNode, folder: string | undefined): boolean =>
  folder !== undefined && node.folder === folder;

async function startExporter({ exporter, queue }: ExporterNode): Promise<void> {
  await exporter.start?.();
  await queue.start();
}

async function stopExporter(
  { exporter, queue }: ExporterNode,
  deadline: AbortSignal,
): Promise<{ left: number; persisted: number }> {
  const result = await queue.stop(deadline);
  await exporter.stop().catch(() => undefined);
  return result;
}

async function attempt(failed: string[], what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    failed.push(`${what}: ${errorChain(error)}`);
  }
}

const delay = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms).unref());

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => signal.addEventListener('abort', () => done(), { once: true }));
}
