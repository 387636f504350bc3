// For how long a receiver did not read its peers. What they lose meanwhile cannot be seen from here, this can.

import type { Context, Counter } from './component.ts';

/** A wait that goes on is counted this often, so that it shows while it lasts. */
const everyMs = 500;

/** Time in which at least one peer waited. */
export class HeldBack {
  readonly #seconds: Counter;
  readonly #now: () => number;
  #waiting = 0;
  #countedMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ id, metrics, now }: Context) {
    this.#now = now;
    this.#seconds = metrics.counter(
      'meshlog_receiver_held_back_seconds_total',
      'Time in which peers were not read because the pipeline could not take more.',
      { receiver: id },
    );
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** One more peer waits. */
  begin(): void {
    if (this.#waiting++ > 0) return;
    this.#countedMs = this.#now();
    this.#timer = setInterval(() => this.#count(), everyMs).unref();
  }

  /** One of them waits no longer. */
  end(): void {
    if (--this.#waiting > 0) return;
    clearInterval(this.#timer);
    this.#count();
  }

  #count(): void {
    const nowMs = this.#now();
    // The clock of the machine may be set back.
    this.#seconds.add(Math.max(0, nowMs - this.#countedMs) / 1000);
    this.#countedMs = nowMs;
  }
}
