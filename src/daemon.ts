// The life of the process: start against the data's way (exporters first), reload beside what runs, stop along it.

import { AdminServer } from './admin/server.ts';
import {
  aborted,
  attempt,
  changeOver,
  delay,
  needsRestart,
  startFresh,
  stopExporter,
  tryReceivers,
} from './changeover.ts';
import type { Catalogue } from './components.ts';
import type { Config, Instance } from './config/config.ts';
import { componentContext } from './context.ts';
import { buildGraph, type Graph, type ReceiverNode } from './graph.ts';
import { Budget } from './pipeline/budget.ts';
import type { Log } from './pipeline/component.ts';
import { errorChain } from './pipeline/errors.ts';
import type { Rest } from './pipeline/queue.ts';
import { RunningReceivers } from './running_receivers.ts';
import { type Description, descriptionOf, type Status, statusOf } from './status.ts';
import { Degradations } from './telemetry/degraded.ts';
import { Metrics } from './telemetry/metrics.ts';
import { processMetrics } from './telemetry/process_metrics.ts';
import { SelfLog } from './telemetry/selflog.ts';
import { watchEventLoop } from './telemetry/watchdog.ts';

export type DaemonOptions = {
  readonly config: Config;
  readonly catalogue: Catalogue;
  readonly version: string;
  /** Where lines of the daemon's own log go. */
  readonly write: (line: string) => void;
};

const droppedRecords = 'meshlog_dropped_records_total';
/** Reasons of the end. */
const lostFor = ['refused', 'stopped'];

/** What an exporter did not deliver. */
type Left = Rest & { readonly id: string };

/** A start that failed, with every reason. */
export class StartError extends Error {
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(reasons.join('\n'));
    this.name = 'StartError';
    this.reasons = reasons;
  }
}

export class Daemon {
  readonly metrics = new Metrics();
  readonly log: Log;
  readonly #options: DaemonOptions;
  readonly #selfLog: SelfLog;
  readonly #budget: Budget;
  readonly #degradations = new Degradations(this.metrics);
  #graph: Graph;
  #admin: AdminServer | undefined;
  #phase: 'starting' | 'running' | 'stopping' = 'starting';
  /** Pending while a reload swaps the pipelines: deliveries wait for it. */
  #gate: Promise<void> | undefined;
  #reloading: Promise<unknown> = Promise.resolve();
  readonly #receivers: RunningReceivers;
  /** Aborts when the process is to stop: a reload then waits for nothing more. */
  readonly #ending = new AbortController();
  readonly #unwatch: () => void;

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
    this.#unwatch = watchEventLoop(this.metrics, (message) => this.log.warn(message));
    this.#graph = { config, receivers: [], stages: [], exporters: [], pipelines: [] };
    this.#receivers = new RunningReceivers({
      metrics: this.metrics,
      graph: () => this.#graph,
      gate: () => this.#gate,
      uncleanStop: ({ instance }, message) => {
        this.#scope(instance).error(`did not stop cleanly: ${message}`);
      },
    });
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
      await attempt(failed, `exporter ${node.instance.id}`, async () => {
        await node.exporter.start?.();
        await node.queue.start();
        node.queue.publish();
      });
    }
    if (failed.length > 0) {
      await tryReceivers(failed, graph.receivers);
      throw new StartError(failed);
    }
    const started: ReceiverNode[] = [];
    for (const node of graph.receivers) {
      await attempt(failed, `receiver ${node.instance.id}`, async () => {
        await this.#receivers.start(node);
        started.push(node);
      });
    }
    this.#graph = { ...graph, receivers: started };
    if (failed.length > 0) throw new StartError(failed);
    this.#phase = 'running';
  }

  /** Resolves when every receiver's source is exhausted; never when one of them has no end. */
  async ended(): Promise<void> {
    for (;;) {
      const { receivers } = this.#graph;
      const changed = this.#graphChange();
      const ends = receivers.map(
        ({ receiver }) => receiver.ended ?? new Promise<void>(() => undefined),
      );
      // Between two graphs there may be no receiver for a moment: that is not the end of all sources.
      await Promise.race(ends.length === 0 ? [changed] : [Promise.all(ends), changed]);
      if (ends.length > 0 && this.#graph.receivers === receivers) return;
    }
  }

  #graphChange(): Promise<void> {
    return new Promise((resolve) => {
      const tell = this.#onChange;
      this.#onChange = () => {
        tell();
        resolve();
      };
    });
  }
  #onChange: () => void = () => undefined;

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
   * leaves everything as it was, when the new graph cannot be built or its exporters cannot be started. Resolves with
   * what else did not work out.
   */
  reload(config: Config): Promise<readonly string[]> {
    const reloaded = this.#reloading.then(() => this.#reload(config));
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  async #reload(config: Config): Promise<readonly string[]> {
    if (this.#phase !== 'running') throw new StartError([`the daemon is ${this.#phase}`]);
    const old = this.#graph;
    const around = this.#surroundings(config);
    let next: Graph;
    try {
      next = buildGraph(config, around, old);
    } catch (error) {
      throw new StartError([errorChain(error)]);
    }
    const grace = AbortSignal.timeout(config.service.grace_period);
    const changing = {
      old,
      next,
      around,
      deadline: AbortSignal.any([grace, this.#ending.signal]),
      take: (graph: Graph) => this.#take(graph),
      receivers: this.#receivers,
      closeGate: () => this.#closeGate(),
    };
    const failed = await startFresh(changing);
    if (failed.length > 0) throw new StartError(failed);
    const problems = await changeOver(changing);
    this.#budget.limitBytes = config.service.memory_budget;
    const restart = needsRestart(old, next);
    if (restart.length > 0) {
      this.log.warn(`service.${restart.join(', service.')}: takes effect when the process starts`);
    }
    return problems;
  }

  #take(graph: Graph): void {
    this.#graph = graph;
    this.#onChange();
    this.#onChange = () => undefined;
  }

  #closeGate(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return () => {
      this.#gate = undefined;
      resolve();
    };
  }

  /**
   * Stops the receivers, drains the queues within the grace period (or until `hurry` aborts), stops the rest. Returns
   * the number of records that could not be delivered.
   */
  async stop(hurry?: AbortSignal): Promise<number> {
    this.#ending.abort();
    await this.#reloading;
    const grace = AbortSignal.timeout(this.#graph.config.service.grace_period);
    const deadline = hurry === undefined ? grace : AbortSignal.any([grace, hurry]);
    const droppedBefore = this.#lost();
    const rests = await this.#halt(deadline);
    const undelivered = this.#sayRest(rests, this.#lost() - droppedBefore);
    await this.#selfLog.close();
    return undelivered;
  }

  /** The last line. Returns how many records did not arrive. */
  #sayRest(rests: readonly Left[], dropped: number): number {
    const persisted = rests.reduce((sum, rest) => sum + rest.persisted, 0);
    if (persisted > 0) this.log.info(`${persisted} records stay in disk queues for the next start`);
    const left = rests.reduce((sum, rest) => sum + rest.left, 0);
    if (left + dropped === 0) {
      this.log.info('stopped, nothing was left');
      return 0;
    }
    const each = rests.filter((rest) => rest.left > 0).map((rest) => `${rest.id} ${rest.left}`);
    const where = each.length === 0 ? '' : ` (exporter ${each.join(', exporter ')})`;
    this.log.error(
      `stopped with ${left} records undelivered${where}; dropped at the end: ${dropped}, in all since the start: ${this.metrics.total(droppedRecords)}; sources that were not acknowledged (files, OTLP clients) still hold theirs`,
    );
    return left + dropped;
  }

  /** Records that were dropped because nobody took them, not because somebody wanted it so. */
  #lost(): number {
    return this.metrics.total(droppedRecords, ({ reason = '' }) => lostFor.includes(reason));
  }

  async #halt(deadline: AbortSignal): Promise<Left[]> {
    this.#phase = 'stopping';
    const { receivers, exporters, stages } = this.#graph;
    for (const node of receivers) void this.#receivers.stop(node);
    const stopped = this.#receivers.left();
    await Promise.race([stopped, aborted(deadline)]);
    const rests = await Promise.all(
      exporters.map(async (node) => ({
        id: node.instance.id,
        ...(await stopExporter(node, deadline)),
      })),
    );
    // Their last deliveries were settled by the queues just now; a defect in one must not hold up the end.
    await Promise.race([stopped, delay(1000)]);
    await Promise.allSettled(stages.map((node) => node.stage.processor.stop?.()));
    await this.#admin?.close();
    this.#unwatch();
    return rests;
  }

  /** What `meshlog status` shows. */
  status(): Status {
    return statusOf({
      graph: this.#graph,
      metrics: this.metrics,
      budget: this.#budget,
      version: this.#options.version,
      phase: this.#phase,
      degraded: this.#degradations.list(),
    });
  }

  /** What runs, for the start-up picture. */
  describe(): Description {
    return descriptionOf(this.#graph, this.#admin?.port);
  }

  async #openAdmin(config: Config): Promise<void> {
    const { endpoint, enabled } = config.service.admin;
    if (!enabled || endpoint.kind !== 'tcp') return;
    this.#admin = await AdminServer.open({
      host: endpoint.host,
      port: endpoint.port,
      metrics: this.metrics,
      unready: () => (this.#phase === 'running' ? [] : [this.#phase]),
      degraded: () => this.#degradations.list(),
    });
  }

  #surroundings(config: Config) {
    return {
      catalogue: this.#options.catalogue,
      metrics: this.metrics,
      context: (instance: Instance) =>
        componentContext(config, instance, {
          metrics: this.metrics,
          budget: this.#budget,
          degradations: this.#degradations,
          log: this.#scope(instance),
        }),
      scope: (instance: Instance) => this.#scope(instance),
    };
  }

  #scope(instance: Instance): Log {
    return this.#selfLog.scope(`${instance.kind} ${instance.id}`);
  }
}
