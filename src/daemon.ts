// Configuration -> running pipelines. Starts against the data's way (exporters first), stops along it.

import { dirname, resolve } from 'node:path';
import { AdminServer } from './admin/server.ts';
import type { Catalogue } from './components.ts';
import type { Config, Instance } from './config/config.ts';
import { Budget, type Share } from './pipeline/budget.ts';
import type { Context, Exporter, Log, Processor, Receiver } from './pipeline/component.ts';
import { DeadLetter } from './pipeline/dead_letter.ts';
import { errorChain } from './pipeline/errors.ts';
import { Pipeline, receiverEdge, type Stage, stage } from './pipeline/pipeline.ts';
import { MemoryQueue, type Queue, type QueueSettings } from './pipeline/queue.ts';
import { type RetrySettings, Sender } from './pipeline/sender.ts';
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

type Running<T> = { readonly instance: Instance; readonly component: T };

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
  readonly #receivers: Running<Receiver>[] = [];
  readonly #exporters = new Map<string, Running<Exporter> & { queue: Queue; sender: Sender }>();
  readonly #processors: Processor[] = [];
  readonly #pipelines: Pipeline[] = [];
  #admin: AdminServer | undefined;
  #phase: 'starting' | 'running' | 'stopping' = 'starting';

  private constructor(options: DaemonOptions, selfLog: SelfLog) {
    this.#options = options;
    this.#selfLog = selfLog;
    this.log = selfLog.scope('');
    this.#budget = new Budget(options.config.service.memory_budget);
    processMetrics(this.metrics, options.version);
    this.metrics.gauge(
      'meshlog_memory_budget_bytes',
      'The byte budget of the process.',
      {},
      () => this.#budget.limitBytes,
    );
    this.metrics.gauge(
      'meshlog_memory_budget_used_bytes',
      'Bytes that receivers hold.',
      {},
      () => this.#budget.usedBytes,
    );
  }

  /** Builds and starts everything. Rejects with StartError, after undoing what was begun. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const { logs } = options.config.service.telemetry;
    const selfLog = await SelfLog.open({
      level: logs.level,
      format: logs.format,
      otlpEndpoint: logs.otlp_endpoint,
      version: options.version,
      write: options.write,
    });
    const daemon = new Daemon(options, selfLog);
    try {
      daemon.#build();
      await daemon.#start();
    } catch (error) {
      await daemon.stop();
      throw error;
    }
    return daemon;
  }

  /** Resolves when every receiver's source is exhausted; never when one of them has no end. */
  async ended(): Promise<void> {
    await Promise.all(
      this.#receivers.map(({ component }) => component.ended ?? new Promise<void>(() => undefined)),
    );
  }

  /** SIGHUP: exporters reopen their files. */
  async reopen(): Promise<void> {
    for (const { component, instance } of this.#exporters.values()) {
      await component.reopen?.().catch((error: unknown) => {
        this.#scope(instance).error(`cannot reopen: ${errorChain(error)}`);
      });
    }
  }

  /**
   * Stops the receivers, drains the queues within the grace period (or until `hurry` aborts), stops the rest. Returns
   * the number of records that could not be delivered.
   */
  async stop(hurry?: AbortSignal): Promise<number> {
    this.#phase = 'stopping';
    const grace = AbortSignal.timeout(this.#options.config.service.grace_period);
    const deadline = hurry === undefined ? grace : AbortSignal.any([grace, hurry]);
    const receivers = Promise.allSettled(this.#receivers.map(({ component }) => component.stop()));
    await Promise.race([receivers, aborted(deadline)]);
    const queues = [...this.#exporters.values()];
    const results = await Promise.all(queues.map(({ queue }) => queue.stop(deadline)));
    await Promise.race([receivers, delay(1000)]);
    await Promise.allSettled(queues.map(({ component }) => component.stop()));
    await Promise.allSettled(this.#processors.map((processor) => processor.stop?.()));
    await this.#admin?.close();
    const left = results.reduce((sum, result) => sum + result.left, 0);
    const persisted = results.reduce((sum, result) => sum + result.persisted, 0);
    this.#report(left, persisted);
    await this.#selfLog.close();
    return left;
  }

  #report(left: number, persisted: number): void {
    if (persisted > 0) this.log.info(`${persisted} records stay in disk queues for the next start`);
    if (left === 0) this.log.info('stopped; nothing was left');
    else {
      this.log.error(
        `stopped; ${left} records were not delivered within the grace period (their sources still hold what can be read again)`,
      );
    }
  }

  /** What runs, for the start-up picture. */
  describe(): {
    receivers: Line[];
    pipelines: Line[];
    exporters: Line[];
    admin: string | undefined;
  } {
    const line = (running: Running<Receiver | Exporter>): Line => [
      running.instance.id,
      running.component.status?.() ?? '',
    ];
    return {
      receivers: this.#receivers.map(line),
      pipelines: this.#options.config.pipelines.map(({ id, processors }) => [
        id,
        processors.join(' > '),
      ]),
      exporters: [...this.#exporters.values()].map(line),
      admin: this.#admin === undefined ? undefined : `:${this.#admin.port}`,
    };
  }

  #build(): void {
    const { config, catalogue } = this.#options;
    const used = (kind: 'receivers' | 'exporters', id: string): boolean =>
      config.pipelines.some((pipeline) => pipeline[kind].includes(id));
    for (const instance of config.exporters) {
      if (used('exporters', instance.id)) this.#buildExporter(instance);
    }
    for (const { id, processors, exporters } of config.pipelines) {
      const stages = processors.map((name) => this.#buildStage(id, name));
      const queues = exporters.flatMap((name) => this.#exporters.get(name)?.queue ?? []);
      this.#pipelines.push(new Pipeline(id, stages, queues));
    }
    for (const instance of config.receivers) {
      if (!used('receivers', instance.id)) continue;
      const type = catalogue.receivers[instance.type];
      if (type === undefined) continue;
      this.#receivers.push({
        instance,
        component: type.create(instance.config, this.#context(instance)),
      });
    }
  }

  #buildExporter(instance: Instance): void {
    const type = this.#options.catalogue.exporters[instance.type];
    if (type === undefined) return;
    const context = this.#context(instance);
    const component = type.create(instance.config, context);
    const settings = instance.config as ExporterSettings;
    const state = context.stateDirectory;
    const deadLetter = new DeadLetter({
      path:
        state === undefined
          ? undefined
          : resolve(state, 'dead_letter', `${fileName(instance.id)}.jsonl`),
      exporter: instance.id,
      bytesMax: 1024 ** 3,
    });
    const sender = new Sender({
      exporter: component,
      context,
      retry: settings.retry_on_failure,
      timeoutMs: settings.timeout,
      deadLetter,
    });
    const queue = new MemoryQueue(settings.queue, sender, context);
    this.#exporters.set(instance.id, { instance, component, queue, sender });
  }

  #buildStage(pipeline: string, name: string): Stage {
    const { config, catalogue } = this.#options;
    const instance = config.processors.find(({ id }) => id === name);
    const type = instance === undefined ? undefined : catalogue.processors[instance.type];
    if (instance === undefined || type === undefined)
      throw new StartError([`no processor ${name}`]);
    const processor = type.create(instance.config, this.#context(instance));
    this.#processors.push(processor);
    return stage(this.metrics, { id: name, pipeline, processor, log: this.#scope(instance) });
  }

  async #start(): Promise<void> {
    const { config } = this.#options;
    const failed: string[] = [];
    const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        failed.push(`${what}: ${errorChain(error)}`);
      }
    };
    const { endpoint } = config.service.admin;
    if (endpoint.kind === 'tcp' && endpoint.port >= 0 && config.service.admin.enabled) {
      await attempt('service.admin', async () => {
        this.#admin = await AdminServer.open({
          host: endpoint.host,
          port: endpoint.port,
          metrics: this.metrics,
          unready: () => this.#unready(),
        });
      });
    }
    for (const { instance, component, queue } of this.#exporters.values()) {
      await attempt(`exporter ${instance.id}`, async () => {
        await component.start?.();
        await queue.start();
      });
    }
    if (failed.length === 0) {
      for (const { instance, component } of this.#receivers) {
        await attempt(`receiver ${instance.id}`, () =>
          component.start(
            receiverEdge(this.metrics, instance.id, () => this.#pipelinesOf(instance.id)),
          ),
        );
      }
    }
    if (failed.length > 0) throw new StartError(failed);
    this.#phase = 'running';
  }

  #pipelinesOf(receiver: string): readonly Pipeline[] {
    const ids = this.#options.config.pipelines
      .filter(({ receivers }) => receivers.includes(receiver))
      .map(({ id }) => id);
    return this.#pipelines.filter(({ id }) => ids.includes(id));
  }

  #unready(): string[] {
    if (this.#phase !== 'running') return [this.#phase];
    return [];
  }

  #scope(instance: Instance): Log {
    return this.#selfLog.scope(`${instance.kind} ${instance.id}`);
  }

  #context(instance: Instance): Context {
    const { service, file } = this.#options.config;
    const base = dirname(resolve(file));
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
        service.state_directory === undefined ? undefined : resolve(base, service.state_directory),
      baseDirectory: base,
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

type Line = readonly [id: string, text: string];

type ExporterSettings = {
  readonly queue: QueueSettings;
  readonly retry_on_failure: RetrySettings;
  readonly timeout: number;
};

const fileName = (id: string): string => id.replace(/[^\w.-]/g, '_');

const delay = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms).unref());

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => signal.addEventListener('abort', () => done(), { once: true }));
}
