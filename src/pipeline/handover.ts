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
  #sequence = 0;
  #open = 0;
  #timer: NodeJS.Timeout | undefined;
  #chances = Number.POSITIVE_INFINITY;
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
    else void this.#attempt(item);
  }

  /** Resolves when everything is delivered or dropped. From now on refusals are not repeated for long. */
  async finish(): Promise<void> {
    this.#chances = lastChances;
    if (this.#open > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #attempt(item: Item): Promise<void> {
    try {
      await this.#deliver(item.batch);
      if (this.#failures > 0) this.#context.log.info('delivers again');
      this.#failures = 0;
      this.#dropping = false;
    } catch (error) {
      if (error instanceof RefusedError && error.retryable && this.#chances > 0) {
        this.#retry(item, error);
        return;
      }
      if (!this.#dropping) this.#context.log.error(`drops refused records: ${errorChain(error)}`);
      this.#dropping = true;
      this.#context.drop('refused', item.batch.count);
    }
    item.batch.release();
    this.#context.budget.give(item.budgetBytes);
    this.#open--;
    if (this.#open > 0) return;
    for (const resolve of this.#idle) resolve();
    this.#idle = [];
  }

  #retry(item: Item, error: RefusedError): void {
    const after = this.#refused.findIndex((other) => other.sequence > item.sequence);
    if (after === -1) this.#refused.push(item);
    else this.#refused.splice(after, 0, item);
    if (this.#timer !== undefined) return;
    if (this.#failures++ === 0) {
      this.#context.log.warn(`waits, nothing is lost: the pipeline refuses: ${error.message}`);
    }
    const ceiling = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(this.#failures, 10));
    const wish = error.retryAfterMs ?? ceiling * (0.5 + this.#context.random() / 2);
    this.#timer = setTimeout(() => this.#again(), Math.min(wish, wishMaxMs));
  }

  #again(): void {
    this.#timer = undefined;
    this.#chances--;
    const items = this.#refused;
    this.#refused = [];
    for (const item of items) void this.#attempt(item);
  }
}
