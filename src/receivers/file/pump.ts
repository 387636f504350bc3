// Reads what is unread, a chunk of each file in turn, and hands it on. What was acknowledged moves the place that the
// next process starts from.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Batch } from '../../pipeline/batch.ts';
import { buffers, slackBytes } from '../../pipeline/buffers.ts';
import type { Deliver } from '../../pipeline/component.ts';
import { offer } from './offer.ts';
import { type Outcome, Reader, type ReaderOptions } from './reader.ts';
import type { Flight, Tailed } from './tailed.ts';
import type { Troubles } from './troubles.ts';

const smallBytes = 64 * 1024 - slackBytes;
const chunkBytes = 256 * 1024 - slackBytes;
/** Batches of one file that may be on their way at once. */
const windowMax = 16;
/** Reading never keeps other work waiting longer than this. */
const turnMs = 2;

const nothing = new Uint8Array(0);

export type PumpOptions = ReaderOptions & {
  readonly troubles: Troubles;
  readonly deliver: Deliver;
  /** Something was acknowledged. */
  readonly onProgress: () => void;
  /** The file does not continue what was read of it. */
  readonly onTruncated: (file: Tailed) => Promise<void>;
};

export class Pump {
  readonly #options: PumpOptions;
  readonly #ready = new Set<Tailed>();
  readonly #reader: Reader;
  readonly #deliveries = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #wake: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #turnEndMs = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#reader = new Reader(options);
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Reads no more; waits for what was handed over. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    // Reading may wait for bytes that a delivery holds, and hand over one more batch when it has them.
    await Promise.all(this.#deliveries);
    await this.#running;
    await Promise.all(this.#deliveries);
  }

  /** There may be something to read. */
  ready(file: Tailed): void {
    if (file.state === 'lost') return;
    this.#ready.add(file);
    this.#wake();
  }

  isReady(file: Tailed): boolean {
    return this.#ready.has(file);
  }

  /** Reading it has failed, and it is too early to try again. */
  isFailing(file: Tailed): boolean {
    return this.#options.troubles.waiting(reading(file));
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  /** Hands over what is unfinished in the framing of a file: all of it, or what has waited long enough. */
  flush(file: Tailed, all: boolean): void {
    const batch = this.#options.maker.flush(file, all);
    if (batch === undefined) return;
    const costBytes = cost(batch.bytes);
    const taken = this.#options.context.budget.tryTake(costBytes);
    this.#handOver(file, batch, taken ? costBytes : 0);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const [file] = this.#ready;
      if (file === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#ready.delete(file);
      // A full window opens with the next acknowledgement, which makes the file ready again.
      if (file.state === 'lost' || file.inFlight >= windowMax) continue;
      await this.#read(file);
      if (performance.now() > this.#turnEndMs) {
        await nextTurn();
        this.#turnEndMs = performance.now() + turnMs;
      }
    }
  }

  async #read(file: Tailed): Promise<void> {
    const { context, handles, troubles } = this.#options;
    const unread = file.compressed ? chunkBytes : file.size - file.position;
    const least = Math.max(file.wantBytes, file.position === 0 ? file.fingerprint.bytes : 0);
    const wanted = Math.max(least, file.tail.length + unread);
    const size = wanted <= smallBytes ? smallBytes : Math.max(least, chunkBytes);
    const buffer = buffers.take(size);
    const costBytes = cost(buffer);
    let kept = false;
    await context.budget.take(costBytes);
    file.reading = true;
    try {
      if (!this.#stop.signal.aborted && handles.use(file)) {
        kept = await this.#take(file, await this.#reader.read(file, buffer), costBytes);
        troubles.clear(reading(file));
      }
    } catch (error) {
      // The next look at the file finds it unread and tries again.
      file.seenBytes = file.position;
      troubles.report(reading(file), error);
    }
    file.reading = false;
    if (kept) return;
    buffers.give(buffer);
    context.budget.give(costBytes);
  }

  /** True when the buffer went on with a batch. */
  async #take(file: Tailed, outcome: Outcome, costBytes: number): Promise<boolean> {
    const { batch, more, emptied } = outcome;
    if (emptied) await this.#options.onTruncated(file);
    if (more) this.ready(file);
    if (batch !== undefined) this.#handOver(file, batch, costBytes);
    return batch !== undefined;
  }

  #handOver(file: Tailed, batch: Batch, costBytes: number): void {
    const commit = Math.min(file.container?.floor ?? Number.POSITIVE_INFINITY, file.position);
    const here = commit === file.position;
    const flight: Flight = {
      commit,
      tail: here ? file.tail : nothing,
      skipping: here && file.skipping,
      done: false,
    };
    file.flights.push(flight);
    file.inFlight++;
    const delivery = this.#deliver(file, flight, batch, costBytes);
    this.#deliveries.add(delivery);
    void delivery.finally(() => this.#deliveries.delete(delivery));
  }

  async #deliver(file: Tailed, flight: Flight, batch: Batch, costBytes: number): Promise<void> {
    const { deliver, context, counters, known, onProgress } = this.#options;
    const { signal } = this.#stop;
    const refusals = counters.refusals;
    flight.done = batch.count === 0 || (await offer(batch, { deliver, context, refusals, signal }));
    batch.release();
    context.budget.give(costBytes);
    file.inFlight--;
    if (flight.done && file.settle()) {
      known.dirty.add(file);
      onProgress();
    }
    if (file.inFlight === windowMax - 1) this.ready(file);
  }
}

const reading = (file: Tailed): string => `reading ${file.path}`;

/** What a batch over this buffer takes of the budget: bytes, columns and what exporters make of them. */
const cost = (buffer: Buffer): number => Math.ceil(1.5 * buffer.length);
