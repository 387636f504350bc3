// The queue in memory. With `block` a put resolves after the export, so that the promise is the acknowledgement and the
// sources wait when the peer is away. With drop_oldest and drop_newest it keeps a copy and acknowledges at once: an
// exporter that may lose records never holds up those that may not.

import type { Batch } from './batch.ts';
import type { Context } from './component.ts';
import { RefusedError } from './errors.ts';
import { Fifo } from './fifo.ts';
import { grouped, mergeBatches } from './merge.ts';
import {
  type Load,
  mebibytes,
  type Queue,
  type QueueSettings,
  queueDrops,
  queueGauges,
  type Rest,
} from './queue.ts';
import type { Sender } from './sender.ts';

/** An export that does not end when it is told to is left behind after this long. */
const lettingGoMs = 500;

type Item = {
  readonly batch: Batch;
  readonly size: number;
  readonly sinceMs: number;
  /** Bytes of the process's budget that a copy holds; 0: the batch is its receiver's. */
  readonly budgetBytes: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};

export class MemoryQueue implements Queue {
  readonly #settings: QueueSettings;
  readonly #sender: Sender;
  readonly #context: Context;
  readonly #abort = new AbortController();
  readonly #dropped: (records: number) => void;
  readonly #items = new Fifo<Item>();
  /** Puts that found the queue full: they wait outside, and so do their sources. */
  readonly #outside = new Fifo<Item>();
  readonly #active = new Set<Item>();
  #waitingBytes = 0;
  #queuedBytes = 0;
  #running = 0;
  #stopping = false;
  #abandoned = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];
  #unpublish: () => void = () => undefined;

  constructor(settings: QueueSettings, sender: Sender, context: Context) {
    this.#settings = settings;
    this.#sender = sender;
    this.#context = context;
    sender.waiting = () =>
      `0 lost, queue ${mebibytes(this.#queuedBytes)} of ${mebibytes(settings.size)} MiB`;
    this.#dropped = queueDrops(context, settings);
  }

  async start(): Promise<void> {}

  readonly load: Load = {
    bytes: () => this.#queuedBytes,
    oldestMs: () => this.#oldestMs(),
  };

  publish(): void {
    const gauges = queueGauges(this.#context, this.#settings, this.load);
    const circuit = this.#sender.publish();
    this.#unpublish = () => {
      gauges();
      circuit();
    };
  }

  put(batch: Batch): Promise<void> {
    if (this.#stopping) {
      return Promise.reject(this.#refusal('is stopping'));
    }
    if (this.#settings.when_full !== 'block') {
      this.#keepCopy(batch);
      this.#schedule();
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const size = Math.max(1, batch.length);
      const item = { batch, size, sinceMs: this.#context.now(), budgetBytes: 0, resolve, reject };
      if (this.#fits(size) && this.#outside.length === 0) this.#enqueue(item);
      else this.#outside.push(item);
      this.#schedule();
    });
  }

  async stop(deadline: AbortSignal): Promise<Rest> {
    this.#stopping = true;
    const giveUp = (): void => this.#abort.abort(deadline.reason);
    deadline.addEventListener('abort', giveUp);
    if (deadline.aborted) giveUp();
    this.#schedule();
    await this.#settled();
    deadline.removeEventListener('abort', giveUp);
    clearTimeout(this.#timer);
    this.#unpublish();
    this.#context.degraded.leave();
    const rest = [...this.#active, ...this.#items.drain(), ...this.#outside.drain()];
    this.#active.clear();
    for (const item of rest) this.#abandon(item, 'stopped');
    return { left: this.#abandoned, persisted: 0 };
  }

  #fits(size: number): boolean {
    return this.#queuedBytes === 0 || this.#queuedBytes + size <= this.#settings.size;
  }

  #enqueue(item: Item): void {
    this.#items.push(item);
    this.#waitingBytes += item.size;
    this.#queuedBytes += item.size;
  }

  /** For queues that may lose records: their copies live within the process's byte budget as well. */
  #keepCopy(batch: Batch): void {
    const { context, size } = { context: this.#context, size: Math.max(1, batch.length) };
    const budgetBytes = batch.footprint;
    const hasRoom = (): boolean => this.#fits(size) && context.budget.claim(budgetBytes);
    let room = hasRoom();
    while (!room && this.#settings.when_full === 'drop_oldest' && this.#items.length > 0) {
      const oldest = this.#items.shift() as Item;
      this.#waitingBytes -= oldest.size;
      this.#letGo(oldest);
      this.#dropped(oldest.batch.count);
      room = hasRoom();
    }
    if (!room) {
      this.#dropped(batch.count);
      return;
    }
    const nothing = (): void => undefined;
    const sinceMs = context.now();
    const copy = mergeBatches([batch]);
    this.#enqueue({ batch: copy, size, sinceMs, budgetBytes, resolve: nothing, reject: nothing });
  }

  /** The queue no longer has this item. */
  #letGo(item: Item): void {
    this.#queuedBytes -= item.size;
    if (item.budgetBytes > 0) this.#context.budget.give(item.budgetBytes);
  }

  #abandon(item: Item, why: string): void {
    this.#abandoned += item.batch.count;
    this.#letGo(item);
    // A copy has no source that could bring it again.
    if (item.budgetBytes > 0) this.#context.drop('stopped', item.batch.count);
    item.reject(this.#refusal(why));
  }

  #refusal(why: string): RefusedError {
    return new RefusedError(`exporter ${this.#context.id} ${why}`, { retryable: true });
  }

  /** Starts as many exports as may run; a small batch waits a little for company unless the queue is stopping. */
  #schedule(): void {
    const { concurrency, batch } = this.#settings;
    for (;;) {
      const first = this.#items.at(0);
      if (first === undefined || this.#running >= concurrency || this.#abort.signal.aborted) break;
      const dueMs = first.sinceMs + batch.flush_timeout - this.#context.now();
      // While nothing is under way nothing is gained by waiting: a sender that waits for its answer gets it at once.
      const gathers = this.#running > 0 && !this.#stopping;
      if (gathers && this.#waitingBytes < batch.min_size && dueMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#schedule();
        }, dueMs);
        return;
      }
      void this.#export(this.#takeGroup());
    }
    if (this.#running === 0 && (this.#items.length === 0 || this.#abort.signal.aborted)) {
      for (const idle of this.#idle.splice(0)) idle();
    }
  }

  #takeGroup(): Item[] {
    const { min_size, max_size } = this.#settings.batch;
    const group: Item[] = [];
    let size = 0;
    for (let next = this.#items.at(0); next !== undefined; next = this.#items.at(0)) {
      const alike = group[0] === undefined || next.batch.source === group[0].batch.source;
      // Putting batches together copies them: what is large enough goes as it is.
      const enough = next.size >= min_size || size + next.size > max_size;
      if (group.length > 0 && (enough || !alike)) break;
      size += next.size;
      group.push(next);
      this.#items.shift();
      if (enough) break;
    }
    this.#waitingBytes -= size;
    return group;
  }

  async #export(group: Item[]): Promise<void> {
    this.#running++;
    for (const item of group) this.#active.add(item);
    const { whole, made } = grouped(group.map(({ batch }) => batch));
    let delivered = false;
    try {
      for (const batch of whole) await this.#sender.send(batch, this.#abort.signal);
      delivered = true;
    } catch {
      // Only the end of the grace period gets here: the sender knows no other way out.
    }
    // An aborted export may still look at its bytes; only a settled one gives them back.
    if (!this.#abort.signal.aborted) for (const batch of made) batch.release();
    this.#running--;
    for (const item of group) {
      if (!this.#active.delete(item)) continue;
      if (!delivered) this.#abandon(item, 'stopped before delivery');
      else {
        this.#letGo(item);
        if (item.budgetBytes > 0) item.batch.release();
        item.resolve();
      }
    }
    this.#letIn();
    this.#schedule();
  }

  #letIn(): void {
    for (let next = this.#outside.at(0); next !== undefined; next = this.#outside.at(0)) {
      if (!this.#fits(next.size)) return;
      this.#outside.shift();
      this.#enqueue(next);
    }
  }

  /** Resolves when nothing is under way and, unless given up, nothing waits. */
  #settled(): Promise<void> {
    if (this.#running === 0 && (this.#items.length === 0 || this.#abort.signal.aborted)) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      const later = (): void => void setTimeout(resolve, lettingGoMs).unref();
      if (this.#abort.signal.aborted) later();
      else this.#abort.signal.addEventListener('abort', later, { once: true });
    });
  }

  #oldestMs(): number {
    let oldest = this.#items.at(0)?.sinceMs ?? Number.POSITIVE_INFINITY;
    for (const item of this.#active) oldest = Math.min(oldest, item.sinceMs);
    return oldest;
  }
}
