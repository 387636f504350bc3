// What tests put around a component: a context with real metrics and a real budget, and the other end of `deliver`.

import type { Batch } from '../../src/pipeline/batch.ts';
import { Budget } from '../../src/pipeline/budget.ts';
import type { Context, Deliver } from '../../src/pipeline/component.ts';
import { RefusedError } from '../../src/pipeline/errors.ts';
import type { LogRecord } from '../../src/pipeline/record.ts';
import { Degradations } from '../../src/telemetry/degraded.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

export type TestContext = Context & {
  /** What was logged, as `warn: message`. */
  readonly logged: string[];
  /** Records dropped, by reason. */
  readonly dropped: Record<string, number>;
  /** The whole budget that `budget` is a share of. */
  readonly wholeBudget: Budget;
};

/** A context for one component. `budgetBytes` is the size of the byte budget; anything else replaces a member. */
export function testContext(
  overrides: Partial<Context> & { budgetBytes?: number } = {},
): TestContext {
  const { budgetBytes = 64 * 1024 * 1024, ...members } = overrides;
  const logged: string[] = [];
  const dropped: Record<string, number> = {};
  const wholeBudget = new Budget(budgetBytes);
  const metrics = members.metrics ?? new Metrics();
  const log = {
    info: (message: string) => void logged.push(`info: ${message}`),
    warn: (message: string) => void logged.push(`warn: ${message}`),
    error: (message: string) => void logged.push(`error: ${message}`),
  };
  return {
    id: 'test',
    log,
    metrics,
    degraded: new Degradations(metrics).scope('test', members.log ?? log, members.now ?? Date.now),
    budget: wholeBudget.share(),
    stateDirectory: undefined,
    baseDirectory: process.cwd(),
    now: Date.now,
    random: Math.random,
    drop: (reason, records) => {
      dropped[reason] = (dropped[reason] ?? 0) + records;
    },
    logged,
    dropped,
    wholeBudget,
    ...members,
  };
}

export type Collector = {
  readonly deliver: Deliver;
  /** Selected rows in the order of delivery, as plain records. */
  readonly records: LogRecord[];
  /** Their source lines (empty strings for batches that are not lines). */
  readonly lines: string[];
  /** Records per batch delivered. */
  readonly batches: number[];
  /** Resolves when at least `records` have been delivered; rejects after `timeoutMs`. */
  until(records: number, timeoutMs?: number): Promise<void>;
  /** From now on `deliver` does not settle, as with a full queue, until `resume`. */
  pause(): void;
  resume(): void;
  /** Batches that wait for `resume`. */
  readonly waiting: number;
};

type Waiter = { records: number; resolve: () => void };

/** A `deliver` that copies every record before it resolves. */
export function collector(): Collector {
  const records: LogRecord[] = [];
  const lines: string[] = [];
  const batches: number[] = [];
  let waiters: Waiter[] = [];
  let gate: (() => void)[] | undefined;
  const take = (batch: Batch): void => {
    for (const row of batch.selection.subarray(0, batch.count)) {
      records.push(batch.record(row));
      lines.push(batch.source === 'line' ? batch.line(row) : '');
    }
    batches.push(batch.count);
    for (const waiter of waiters) if (records.length >= waiter.records) waiter.resolve();
    waiters = waiters.filter((waiter) => records.length < waiter.records);
  };
  return {
    records,
    lines,
    batches,
    deliver: async (batch) => {
      if (gate !== undefined) {
        const waiting = gate;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      take(batch);
    },
    until: (count, timeoutMs = 10_000) => {
      if (records.length >= count) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error(`${records.length} of ${count} records after ${timeoutMs} ms`));
        }, timeoutMs);
        waiters.push({
          records: count,
          resolve: () => {
            clearTimeout(timer);
            resolve();
          },
        });
      });
    },
    pause: () => {
      gate ??= [];
    },
    resume: () => {
      const waiting = gate ?? [];
      gate = undefined;
      for (const resolve of waiting) resolve();
    },
    get waiting() {
      return gate?.length ?? 0;
    },
  };
}

/**
 * A `deliver` that refuses: the first `times` batches (all of them by default), the others go to `next`.
 */
export function refusing(
  options: { retryable?: boolean; retryAfterMs?: number; times?: number; next?: Deliver } = {},
): Deliver & { refused: number } {
  const { retryable = true, times = Number.POSITIVE_INFINITY } = options;
  const deliver = async (batch: Batch): Promise<void> => {
    if (result.refused < times) {
      result.refused++;
      const wish = options.retryAfterMs === undefined ? {} : { retryAfterMs: options.retryAfterMs };
      throw new RefusedError('the test refuses', { retryable, ...wish });
    }
    await options.next?.(batch);
  };
  const result = Object.assign(deliver, { refused: 0 });
  return result;
}
