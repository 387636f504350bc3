// What goes on with less than its configuration promises, and why: a state volume that cannot be written, an API that
// refuses. Said in the log again and again while it lasts, counted, and shown by /readyz and `meshlog status`.

import type { Counter, Metrics } from './metrics.ts';

/** While it lasts it is said again after this long, by the next failure. */
const sayAgainMs = 5 * 60_000;

type Warn = (message: string) => void;
type Entry = { component: string; what: string; why: string; saidMs: number };

/** Everything of one process that is degraded now. */
export class Degradations {
  readonly #entries = new Map<string, Entry>();
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** One line for each: `receiver file: checkpoints are kept in memory only: EROFS: read-only file system …`. */
  list(): string[] {
    return [...this.#entries.values()].map(
      ({ component, what, why }) => `${component}: ${what}: ${why}`,
    );
  }

  /** The view of one component, named as in the log (`receiver file`). */
  scope(component: string, log: { warn: Warn; info: Warn }, now: () => number): Degraded {
    const keyOf = (what: string): string => `${component}\n${what}`;
    let failures: Counter | undefined;
    return {
      begin: (what, why) => {
        failures ??= this.#counted(component);
        failures.add(1);
        const key = keyOf(what);
        const known = this.#entries.get(key);
        const nowMs = now();
        const saidMs = known?.saidMs ?? Number.NEGATIVE_INFINITY;
        const isNews = known?.why !== why || nowMs - saidMs >= sayAgainMs;
        if (isNews) log.warn(`degraded: ${what}: ${why}; trying again`);
        this.#entries.set(key, { component, what, why, saidMs: isNews ? nowMs : saidMs });
      },
      end: (what) => {
        if (this.#entries.delete(keyOf(what))) log.info(`no longer degraded: ${what}`);
      },
      leave: () => {
        for (const [key, entry] of this.#entries) {
          if (entry.component === component) this.#entries.delete(key);
        }
      },
    };
  }

  #counted(component: string): Counter {
    const labels = { component: component.replace(' ', '/') };
    this.#metrics.gauge(
      'meshlog_degraded',
      'Things that go on with less than the configuration promises; the log and /readyz name them.',
      labels,
      () => [...this.#entries.values()].filter((entry) => entry.component === component).length,
    );
    return this.#metrics.counter(
      'meshlog_degraded_failures_total',
      'Attempts that failed while something was degraded.',
      labels,
    );
  }
}

/** How a component says that it goes on with less. `what` tells the consequence, `why` the error. */
export type Degraded = {
  /** Call it with every failure: it is said at once, when `why` changes, and every five minutes. */
  begin(what: string, why: string): void;
  end(what: string): void;
  /** The component is gone: nothing of it is degraded any more. */
  leave(): void;
};
