// Deliveries of a receiver whose peers expect no answer: refused batches are tried again here, in their order.

import type { Batch } from './batch.ts';
import type { Context, Deliver } from './component.ts';
import { errorChain, RefusedError } from './errors.ts';

type Item = {
  readonly sequence: number;
  readonly batch: Batch;
  readonly budgetBytes: number;
};

const firstWaitMs = 50;
const longestWaitMs = 5000;
/** A pipeline may ask for a longer wait, up to this. */
const wishMaxMs = 60_000;
/** Once the receiver stops, a pipeline that still refuses gets so many chances before records are dropped. */
const lastChances = 3;

/** Delivers batches in order, any number at once; releases each, and gives its budget back, when it is settled. */
export class Handover {
  readonly #deliver: Deliver;
  readonly #context: Context;
  /** Refused, in order. While there are any, later batches line up behind them. */
  #refused: Item[] = [];
  #failures = 0;
  #dropping = false;
  #isEnding = false;
  #sequence = 0;
  #open = 0;
  #timer: NodeJS.Timeout | undefined;
  #chances = Number.POSITIVE_INFINITY;
  /** Dropped since the receiver stops, and why the last of them. */
  #droppedAtEnd = 0;
  #whyDropped = '';
  #idle: (() => void)[] = [];

  constructor(deliver: Deliver, context: Context) {
    this.#deliver = deliver;
    this.#context = context;
  }

  /** Takes a batch and the bytes of the budget that it holds. */
  push(batch: Batch, budgetBytes: number): void {
    this.#open++;
    const item = { sequence: this.#sequence++, batch, budgetBytes };
    if (this.#refused.length > 0) this.#refused.push(item);
    else void this.#first(item);
  }

  /** The receiver stops: from now on nobody is promised that nothing is lost. */
  ending(): void {
    this.#isEnding = true;
  }

  /** Resolves when everything is delivered or dropped. From now on refusals are not repeated for long. */
  async finish(): Promise<void> {
    this.ending();
    this.#chances = lastChances;
    if (this.#open > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    if (this.#droppedAtEnd === 0) return;
    this.#context.log.error(
      `dropped ${this.#droppedAtEnd} records that nobody took at the end: ${this.#whyDropped}`,
    );
  }

  async #first(item: Item): Promise<void> {
    const refusal = await this.#attempt(item);
    if (refusal === undefined) return;
    const after = this.#refused.findIndex((other) => other.sequence > item.sequence);
    this.#refused.splice(after === -1 ? this.#refused.length : after, 0, item);
    this.#wait(refusal);
  }

  /** One after the other, so that none overtakes. */
  async #again(): Promise<void> {
    for (let item = this.#refused[0]; item !== undefined; item = this.#refused[0]) {
      const refusal = await this.#attempt(item);
      if (refusal !== undefined) {
        this.#timer = undefined;
        this.#wait(refusal);
        return;
      }
      this.#refused.splice(this.#refused.indexOf(item), 1);
    }
    this.#timer = undefined;
  }

  /** Delivers. Returns the refusal if it is worth another attempt; otherwise the batch is done with. */
  async #attempt(item: Item): Promise<RefusedError | undefined> {
    try {
      await this.#deliver(item.batch);
      if (this.#failures > 0) this.#context.log.info('delivers again');
      this.#failures = 0;
      this.#dropping = false;
    } catch (error) {
      if (error instanceof RefusedError && error.retryable && this.#chances > 0) return error;
      this.#drop(item.batch.count, errorChain(error));
    }
    item.batch.release();
    this.#context.budget.give(item.budgetBytes);
    this.#open--;
    if (this.#open === 0) for (const resolve of this.#idle.splice(0)) resolve();
    return undefined;
  }

  /** Counts them. Says it when it begins, and at the end how many they were. */
  #drop(records: number, why: string): void {
    const { log, drop } = this.#context;
    drop('refused', records);
    if (this.#chances !== Number.POSITIVE_INFINITY) {
      this.#droppedAtEnd += records;
      this.#whyDropped = why;
    } else if (!this.#dropping) {
      log.error(
        `drops refused records, ${records} for a start, all in meshlog_dropped_records_total: ${why}`,
      );
    }
    this.#dropping = true;
  }

  #wait(refusal: RefusedError): void {
    if (this.#timer !== undefined) return;
    if (this.#failures++ === 0) {
      const what = this.#isEnding ? 'tries a few times more' : 'waits, nothing is lost';
      this.#context.log.warn(`${what}: the pipeline refuses: ${refusal.message}`);
    }
    const ceilingMs = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(this.#failures, 10));
    const waitMs = refusal.retryAfterMs ?? ceilingMs * (0.5 + this.#context.random() / 2);
    this.#chances--;
    this.#timer = setTimeout(() => void this.#again(), Math.min(waitMs, wishMaxMs));
  }
}
