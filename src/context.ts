// What a component instance is given by the process.

import { resolve } from 'node:path';
import type { Config, Instance } from './config/config.ts';
import type { Budget, Share } from './pipeline/budget.ts';
import type { Context, Log } from './pipeline/component.ts';
import type { Degradations } from './telemetry/degraded.ts';
import type { Counter, Metrics } from './telemetry/metrics.ts';

export type Process = {
  readonly metrics: Metrics;
  readonly budget: Budget;
  readonly degradations: Degradations;
  readonly log: Log;
};

export function componentContext(
  { service, baseDirectory }: Config,
  instance: Instance,
  { metrics, budget, degradations, log }: Process,
): Context {
  const drops = new Map<string, Counter>();
  let share: Share | undefined;
  const now = (): number => performance.timeOrigin + performance.now();
  return {
    id: instance.id,
    log,
    metrics,
    degraded: degradations.scope(`${instance.kind} ${instance.id}`, log, now),
    // Made on first use: only who takes from the budget has a share, and shares are fair among those that exist.
    get budget() {
      share ??= budget.share();
      return share;
    },
    stateDirectory:
      service.state_directory === undefined
        ? undefined
        : resolve(baseDirectory, service.state_directory),
    baseDirectory,
    now,
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
