// Gathers the lines of many connections into batches, within the byte budget.

import type { Batch } from '../../pipeline/batch.ts';
import { slackBytes } from '../../pipeline/buffers.ts';
import type { Context, Counter } from '../../pipeline/component.ts';
import type { LineFramer } from './framer.ts';
import { type LineCounts, type LinePolicy, OpenBatch, rowsMax } from './open_batch.ts';

export type GathererOptions = {
  readonly policy: LinePolicy;
  /** The longest a line waits for others. */
  readonly lingerMs: number;
  /** Takes a batch and the bytes that the budget gave for it. */
  readonly handOver: (batch: Batch, budgetBytes: number) => void;
  /** There is room again after `take` or `finish` has returned false. */
  readonly onRoom: () => void;
};

/** A batch being filled. `owner`: the only connection in it; undefined: it is shared. */
type Gathering = {
  readonly open: OpenBatch;
  owner: LineSource | undefined;
  budgetBytes: number;
  timer: NodeJS.Timeout | undefined;
};

/** A connection as the gatherer sees it. */
export type LineSource = {
  readonly framer: LineFramer;
  own: Gathering | undefined;
  /** The shared batch that last got lines of this connection. */
  lastShared: Gathering | undefined;
};

const batchBytes = 512 * 1024 - slackBytes;
/** A batch with less room than one read needs is full. */
const roomMin = 64 * 1024;
/** A connection that sends this much at once is worth batches of its own. */
const busyBytes = 32 * 1024;
const ownersMax = 16;
const budgetFactor = 1.5;

/**
 * Busy connections get batches of their own; all others share one, so that ten thousand slow ones cost one buffer. The
 * lines of a connection keep their order: it changes from one batch to another only when the first was handed over.
 */
export class LineGatherer {
  readonly counts: LineCounts = { cut: 0, dropped: 0, empty: 0 };
  readonly #options: GathererOptions;
  readonly #context: Context;
  readonly #idle: OpenBatch[] = [];
  readonly #owned = new Set<Gathering>();
  readonly #cuts: Counter;
  readonly #partials: Counter;
  #shared: Gathering | undefined;
  /** Bytes of the budget that were waited for and are not used yet. */
  #credit = 0;
  #waiting = false;

  constructor(options: GathererOptions, context: Context) {
    this.#options = options;
    this.#context = context;
    const labels = { receiver: context.id };
    this.#cuts = context.metrics.counter(
      'meshlog_receiver_line_cuts_total',
      'Cuts made in lines longer than line_bytes_max (line_too_long: split or truncate).',
      labels,
    );
    this.#partials = context.metrics.counter(
      'meshlog_receiver_partial_lines_total',
      'Last lines that came without their end; they are delivered as they are.',
      labels,
    );
  }

  /** Reads `chunk`, which may be overwritten afterwards. False: no room; nothing was read, `onRoom` will say when. */
  take(source: LineSource, chunk: Uint8Array): boolean {
    const target = this.#target(source, source.framer.tailLength + chunk.length, chunk.length);
    if (target === undefined) return false;
    source.framer.feed(chunk, target.open);
    this.#settle(target);
    return true;
  }

  /** Adds the incomplete last line of a connection. False: no room, as for `take`. */
  finish(source: LineSource): boolean {
    const { framer } = source;
    if (framer.tailLength > 0) {
      const target = this.#target(source, framer.tailLength, 0);
      if (target === undefined) return false;
      if (framer.finish(target.open)) this.#partials.add(1);
      this.#settle(target);
    }
    framer.release();
    return true;
  }

  /** Gets the memory of an incomplete line back by treating it as too long, if there is room for it. */
  relieve(source: LineSource): void {
    const target = this.#target(source, source.framer.tailLength, 0);
    if (target === undefined) return;
    source.framer.relieve(target.open);
    this.#settle(target);
  }

  /** Hands over everything. */
  flush(): void {
    for (const gathering of this.#owned) this.#seal(gathering);
    if (this.#shared !== undefined) this.#seal(this.#shared);
  }

  /** Hands over everything and gives back what was reserved. */
  close(): void {
    this.flush();
    this.#context.budget.give(this.#credit);
    this.#credit = 0;
  }

  /** The batch that the next `bytes` of a connection belong into, with room for them. */
  #target(source: LineSource, bytes: number, chunkBytes: number): Gathering | undefined {
    if (source.own !== undefined && source.own.open.room < bytes) this.#seal(source.own);
    if (source.own === undefined && chunkBytes >= busyBytes && this.#owned.size < ownersMax) {
      if (source.lastShared !== undefined && source.lastShared === this.#shared) {
        this.#seal(this.#shared);
      }
      source.own = this.#start(bytes);
      if (source.own !== undefined) {
        source.own.owner = source;
        this.#owned.add(source.own);
      }
    }
    if (source.own !== undefined) return this.#entered(source.own, source);
    if (this.#shared !== undefined && this.#shared.open.room < bytes) this.#seal(this.#shared);
    this.#shared ??= this.#start(bytes);
    source.lastShared = this.#shared;
    if (this.#shared === undefined) this.#wait(bytes);
    return this.#entered(this.#shared, source);
  }

  #entered(gathering: Gathering | undefined, source: LineSource): Gathering | undefined {
    gathering?.open.enter(source.framer.facts);
    return gathering;
  }

  /** Begins a batch, if the budget has room for it. */
  #start(bytes: number): Gathering | undefined {
    const size = Math.max(batchBytes, bytes);
    const budgetBytes = budgetFor(size);
    if (this.#credit >= budgetBytes) this.#credit -= budgetBytes;
    else if (this.#waiting || !this.#context.budget.tryTake(budgetBytes)) return undefined;
    const open = this.#idle.pop();
    if (open !== undefined) open.open(size);
    const gathering: Gathering = {
      open: open ?? new OpenBatch(size),
      owner: undefined,
      budgetBytes,
      timer: undefined,
    };
    gathering.timer = setTimeout(() => this.#seal(gathering), this.#options.lingerMs);
    return gathering;
  }

  #settle(gathering: Gathering): void {
    const { counts } = this;
    if (counts.empty > 0) this.#context.drop('empty_line', counts.empty);
    if (counts.dropped > 0) this.#context.drop('line_too_long', counts.dropped);
    if (counts.cut > 0) this.#cuts.add(counts.cut);
    counts.empty = 0;
    counts.dropped = 0;
    counts.cut = 0;
    if (gathering.open.room < roomMin || gathering.open.rows >= rowsMax) this.#seal(gathering);
  }

  #seal(gathering: Gathering): void {
    clearTimeout(gathering.timer);
    if (gathering.owner === undefined) this.#shared = undefined;
    else {
      gathering.owner.own = undefined;
      this.#owned.delete(gathering);
    }
    let left = gathering.budgetBytes;
    for (const batch of gathering.open.seal(this.#context.now())) {
      const part = Math.min(left, budgetFor(batch.bytes.length));
      left -= part;
      this.#options.handOver(batch, part);
    }
    this.#context.budget.give(left);
    if (this.#idle.length < ownersMax) this.#idle.push(gathering.open);
  }

  /** Waits for room in the budget, once for all connections. */
  #wait(bytes: number): void {
    if (this.#waiting) return;
    this.#waiting = true;
    const budgetBytes = budgetFor(Math.max(batchBytes, bytes));
    void this.#context.budget.take(budgetBytes).then(() => {
      this.#waiting = false;
      this.#credit += budgetBytes;
      this.#options.onRoom();
    });
  }
}

const budgetFor = (bytes: number): number => Math.round(bytes * budgetFactor);
