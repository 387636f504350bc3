// Exporters without receivers: what the command line uses to deliver what a daemon has left.

import { resolve } from 'node:path';
import type { Catalogue } from './components.ts';
import type { Config } from './config/config.ts';
import { componentContext } from './context.ts';
import { buildGraph, type ExporterNode, placesOf } from './graph.ts';
import { Budget } from './pipeline/budget.ts';
import { Degradations } from './telemetry/degraded.ts';
import { Metrics } from './telemetry/metrics.ts';
import { SelfLog } from './telemetry/selflog.ts';

export type OfflineOptions = {
  readonly config: Config;
  readonly catalogue: Catalogue;
  readonly version: string;
  readonly write: (line: string) => void;
};

/** The exporters of the pipelines, not started. */
export async function offlineExporters(
  options: OfflineOptions,
): Promise<{ exporters: readonly ExporterNode[]; metrics: Metrics }> {
  const { version, write, catalogue } = options;
  const config = { ...options.config, receivers: [], processors: [] };
  const { level, format } = config.service.telemetry.logs;
  const selfLog = await SelfLog.open({ level, format, version, write });
  const metrics = new Metrics();
  const budget = new Budget(config.service.memory_budget);
  const degradations = new Degradations(metrics);
  const scope = ({ kind, id }: { kind: string; id: string }) => selfLog.scope(`${kind} ${id}`);
  const { exporters } = buildGraph(config, {
    catalogue,
    metrics,
    scope,
    context: (instance) =>
      componentContext(config, instance, {
        metrics,
        budget,
        degradations,
        log: scope(instance),
      }),
    offline: true,
  });
  return { exporters, metrics };
}

/** Where the exporters of a configuration keep records; undefined without a state directory. */
export function placesIn(
  config: Config,
): { id: string; disk: boolean; places: ReturnType<typeof placesOf> }[] {
  const { state_directory } = config.service;
  const state =
    state_directory === undefined ? undefined : resolve(config.baseDirectory, state_directory);
  return config.exporters.map(({ id, config: settings }) => ({
    id,
    disk: (settings as { queue?: { type?: string } }).queue?.type === 'disk',
    places: placesOf(id, state),
  }));
}
