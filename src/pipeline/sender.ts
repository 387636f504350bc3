// Between a queue and its exporter: tries again, tells one failure from another, splits what is too large, and keeps
// what can never be delivered. All exports of one exporter share one circuit: while the peer is away a single probe
// goes out at a time, with exponential backoff and full jitter.

import type { Counter } from '../telemetry/metrics.ts';
import { Attempts } from './attempts.ts';
import type { Batch } from './batch.ts';
import type { Context, Exporter } from './component.ts';
import type { DeadLetter } from './dead_letter.ts';
import { ExportError, errorChain } from './errors.ts';
import { faultPoint } from './fault.ts';

export type RetrySettings = {
  readonly enabled: boolean;
  /** Milliseconds. max_elapsed_time 0: no limit. */
  readonly initial_interval: number;
  readonly max_interval: number;
  readonly multiplier: number;
  readonly max_elapsed_time: number;
};

export type SenderOptions = {
  readonly exporter: Exporter;
  readonly context: Context;
  readonly retry: RetrySettings;
  /** Milliseconds for one attempt; 0: none. */
  readonly timeoutMs: number;
  readonly deadLetter: DeadLetter;
};

/** A peer's wish to be left alone is heard up to this: what it says may be a mistake. */
const wishMaxMs = 3_600_000;

/** Records and bytes that wait, for the line that is logged when the state changes. */
type Waiting = () => string;

type Attempt = {
  readonly startedMs: number;
  readonly signal: AbortSignal;
  /** Whether this was the one attempt that goes out while the circuit is open. */
  readonly probe: boolean;
};

export class Sender {
  readonly #options: SenderOptions;
  readonly #sent: Counter;
  readonly #failed: Counter;
  readonly #retries: Counter;
  readonly #attempts: Attempts;
  #failures = 0;
  #failingSinceMs = 0;
  #openUntilMs = 0;
  #probing = false;
  #wake: (() => void)[] = [];
  #inFlight = 0;
  waiting: Waiting = () => '';

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#attempts = new Attempts(options.timeoutMs);
    const { metrics, id } = options.context;
    const labels = { exporter: id };
    this.#sent = metrics.counter(
      'otelcol_exporter_sent_log_records_total',
      'Records that the peer has taken.',
      labels,
    );
    this.#failed = metrics.counter(
      'otelcol_exporter_send_failed_log_records_total',
      'Records that can never be delivered: refused for good, or retried too long.',
      labels,
    );
    this.#retries = metrics.counter(
      'meshlog_exporter_retries_total',
      'Export attempts that failed and were repeated.',
      labels,
    );
  }

  /** Shows the gauges. Returns their removal, which is the end of it. */
  publish(): () => void {
    const { metrics, id } = this.#options.context;
    const labels = { exporter: id };
    const removals = [
      () => this.#options.deadLetter.close(),
      metrics.gauge(
        'meshlog_exporter_circuit_open',
        '1 while the peer is away and only probes go out.',
        labels,
        () => (this.#failures > 0 ? 1 : 0),
      ),
      metrics.gauge(
        'otelcol_exporter_in_flight_requests',
        'Exports under way.',
        labels,
        () => this.#inFlight,
      ),
    ];
    return () => {
      for (const remove of removals) remove();
    };
  }

  /** Whether the peer was away at the last attempt. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /**
   * Resolves when the peer has the selected rows or they are in the dead letter; rejects only when `signal` aborts.
   */
  async send(batch: Batch, signal: AbortSignal): Promise<void> {
    const startedMs = this.#options.context.now();
    for (;;) {
      const probe = await this.#pass(signal);
      let error: unknown;
      try {
        await this.#attempt(batch, signal);
        this.#succeeded(batch.count, probe);
        return;
      } catch (caught) {
        error = caught;
      } finally {
        if (probe) this.#probing = false;
      }
      if (signal.aborted) {
        this.#release();
        throw error;
      }
      if (await this.#settledAfter(error, batch, { startedMs, signal, probe })) return;
    }
  }

  async #attempt(batch: Batch, signal: AbortSignal): Promise<void> {
    this.#inFlight++;
    const attempt = this.#attempts.begin(signal);
    try {
      faultPoint('before_export');
      await this.#options.exporter.export(batch, attempt.signal);
      faultPoint('after_export');
    } finally {
      this.#attempts.end(attempt);
      this.#inFlight--;
    }
  }

  /** Waits while the circuit is open. True: this caller is the probe that decides whether it closes. */
  async #pass(signal: AbortSignal): Promise<boolean> {
    const { now } = this.#options.context;
    for (;;) {
      signal.throwIfAborted();
      if (this.#failures === 0) return false;
      const waitMs = this.#openUntilMs - now();
      if (!this.#probing && waitMs <= 0) {
        this.#probing = true;
        return true;
      }
      await this.#sleep(this.#probing ? 60_000 : waitMs, signal);
    }
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = this.#wake.filter((wake) => wake !== done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(ms, 1));
      signal.addEventListener('abort', done);
      this.#wake.push(done);
    });
  }

  #release(): void {
    for (const wake of [...this.#wake]) wake();
  }

  #succeeded(records: number, probe: boolean): void {
    this.#sent.add(records);
    if (this.#failures === 0) return;
    if (!probe) return;
    const { context } = this.#options;
    const seconds = ((context.now() - this.#failingSinceMs) / 1000).toFixed(1);
    this.#failures = 0;
    context.log.info(`delivering again after ${seconds} s${suffix(this.waiting())}`);
    this.#release();
  }

  /** Decides what a failed attempt means. True: the batch is settled; false: try again. */
  async #settledAfter(error: unknown, batch: Batch, attempt: Attempt): Promise<boolean> {
    const { context, retry } = this.#options;
    const failure =
      error instanceof ExportError
        ? error
        : new ExportError('export failed', { retryable: true, cause: error });
    if (failure.tooLarge && batch.count > 1) {
      this.#release();
      await this.#halves(batch, attempt.signal);
      return true;
    }
    const elapsedMs = context.now() - attempt.startedMs;
    const expired = retry.max_elapsed_time > 0 && elapsedMs >= retry.max_elapsed_time;
    if (!failure.retryable || failure.tooLarge || !retry.enabled || expired) {
      let reason = expired ? 'retried_too_long' : 'refused_by_peer';
      if (failure.retryable && !failure.tooLarge && !retry.enabled) reason = 'retry_disabled';
      this.#release();
      await this.#bury(batch, reason, failure);
      return true;
    }
    this.#retries.add(1);
    this.#failedOnce(failure, attempt.probe);
    return false;
  }

  #failedOnce(failure: ExportError, probe: boolean): void {
    const { context, retry } = this.#options;
    const wishMs = Math.min(failure.retryAfterMs ?? 0, wishMaxMs);
    // Exports that were under way together fail together: that is one failure, and only probes lengthen the wait.
    if (this.#failures > 0 && !probe) {
      this.#openUntilMs = Math.max(this.#openUntilMs, context.now() + wishMs);
      return;
    }
    if (this.#failures === 0) {
      this.#failingSinceMs = context.now();
      context.log.warn(`${errorChain(failure)}; retrying${suffix(this.waiting())}`);
    }
    const ceiling = Math.min(
      retry.max_interval,
      retry.initial_interval * retry.multiplier ** Math.min(this.#failures, 30),
    );
    const delayMs = Math.max(wishMs, context.random() * ceiling);
    this.#failures++;
    this.#openUntilMs = context.now() + delayMs;
    this.#release();
  }

  async #halves(batch: Batch, signal: AbortSignal): Promise<void> {
    const middle = batch.count >> 1;
    for (const [from, to] of [
      [0, middle],
      [middle, batch.count],
    ] as const) {
      const half = batch.fork();
      half.selection = batch.selection.slice(from, to);
      half.count = to - from;
      await this.send(half, signal);
      half.release();
    }
  }

  async #bury(batch: Batch, reason: string, failure: ExportError): Promise<void> {
    const { context, deadLetter } = this.#options;
    this.#failed.add(batch.count);
    const kept = await deadLetter.keep(batch, reason, errorChain(failure));
    if (!kept) context.drop(reason, batch.count);
    const fate = kept ? `kept in ${deadLetter.path}` : 'dropped';
    context.log.error(`${batch.count} records ${fate}: ${errorChain(failure)}`);
  }
}

const suffix = (text: string): string => (text === '' ? '' : `, ${text}`);
