// What was read, by format, and what was not, by reason. Nothing is looked up while lines go on as they did before.

import type { Counter } from '../../pipeline/component.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Recognised } from './row_parser.ts';

export class ParseCounts {
  readonly #metrics: Metrics;
  readonly #component: string;
  readonly #parsed = new Map<Recognised, Counter>();
  readonly #failed = new Map<string, Counter>();
  #last: Recognised | undefined;
  #run = 0;

  constructor(metrics: Metrics, component: string) {
    this.#metrics = metrics;
    this.#component = component;
  }

  /** A line was understood. */
  understood(recognised: Recognised): void {
    if (recognised !== this.#last) {
      this.flush();
      this.#last = recognised;
    }
    this.#run++;
  }

  /** A line was not understood. */
  failed(reason: string): void {
    let counter = this.#failed.get(reason);
    if (counter === undefined) {
      counter = this.#metrics.counter(
        'meshlog_parse_errors_total',
        'Lines that could not be read, by reason.',
        { component: this.#component, reason },
      );
      this.#failed.set(reason, counter);
    }
    counter.add(1);
  }

  /** A batch ends. */
  flush(): void {
    const last = this.#last;
    if (last === undefined || this.#run === 0) return;
    let counter = this.#parsed.get(last);
    if (counter === undefined) {
      counter = this.#metrics.counter(
        'meshlog_parsed_lines_total',
        'Lines that were read, by the format that they were recognised as.',
        { component: this.#component, format: last.format, variant: last.variant },
      );
      this.#parsed.set(last, counter);
    }
    counter.add(this.#run);
    this.#run = 0;
  }
}
