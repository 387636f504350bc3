// Reads what is unread, a chunk of each file in turn, and hands it on. What was acknowledged moves the place that the
// next process starts from.

import { read as readLater, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Lines } from '../../encoding/lines.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { buffers, slackBytes } from '../../pipeline/buffers.ts';
import type { Context, Deliver } from '../../pipeline/component.ts';
import type { BatchMaker } from './chunk.ts';
import type { Counters } from './counters.ts';
import { GzipSource } from './gzip_source.ts';
import type { Handles } from './handles.ts';
import { fingerprintOf, idOf, startsWith, tailBytes } from './identity.ts';
import type { Known } from './known.ts';
import { offer } from './offer.ts';
import type { Settings } from './settings.ts';
import type { Flight, Tailed } from './tailed.ts';
import type { Troubles } from './troubles.ts';

const smallBytes = 64 * 1024 - slackBytes;
const chunkBytes = 256 * 1024 - slackBytes;
/**
 * What was written lately is in memory, and reading it at once costs less than half of reading it in another thread.
 * A read that took longer came from a slow disk: then so many reads do not hold up the process.
 */
const slowReadMs = 4;
const readsLater = 64;
const rowsMax = 8192;
/** Batches of one file that may be on their way at once. */
const windowMax = 16;
/** A file that begins with so many NUL bytes begins with a hole. */
const holeBytesMin = 512;
/** Reading never keeps other work waiting longer than this. */
const turnMs = 2;

const nothing = new Uint8Array(0);

export type PumpOptions = {
  readonly settings: Settings;
  readonly context: Context;
  readonly counters: Counters;
  readonly known: Known;
  readonly handles: Handles;
  readonly troubles: Troubles;
  readonly maker: BatchMaker;
  readonly deliver: Deliver;
  /** Something was acknowledged. */
  readonly onProgress: () => void;
  /** The file does not continue what was read of it. */
  readonly onTruncated: (file: Tailed) => Promise<void>;
};

export class Pump {
  readonly #options: PumpOptions;
  readonly #ready = new Set<Tailed>();
  readonly #lines = new Lines(rowsMax);
  readonly #deliveries = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #wake: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #turnEndMs = 0;
  #readsLater = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
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
        kept = await this.#fill(file, buffer);
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

  /** Reads a chunk into `buffer`. True when the buffer went on with a batch. */
  async #fill(file: Tailed, buffer: Buffer): Promise<boolean> {
    const overlap = file.tail.length;
    const from = file.position - overlap;
    const length = buffer.length - slackBytes;
    const count = await this.#bytes(file, buffer, length, from);
    if (!isContinued(file, buffer.subarray(0, count))) {
      // A compressed file that is being written anew is shorter for a while.
      if (!file.compressed || count > overlap) await this.#options.onTruncated(file);
      return false;
    }
    this.#options.counters.readBytes.add(count - overlap);
    file.readMs = this.#options.context.now();
    file.seenMs = file.readMs;
    file.seenBytes = from + count;
    if (this.#passHole(file, buffer, overlap, count)) return false;
    const full = count === length;
    const rest = this.#split(file, buffer, overlap, count, full);
    if (rest === overlap) {
      if (full) this.#wantMore(file, buffer);
      else this.#atEnd(file, rest === count);
      return false;
    }
    this.#advance(file, buffer, from, rest);
    const batch = this.#options.maker.make(file, this.#lines, buffer, rest, from);
    const more = full || this.#lines.count === rowsMax || (this.#ended(file) && rest < count);
    if (more) this.ready(file);
    else this.#atEnd(file, rest === count);
    this.#handOver(file, batch, cost(buffer));
    return true;
  }

  #bytes(file: Tailed, into: Buffer, length: number, from: number): number | Promise<number> {
    const fd = file.fd ?? -1;
    if (file.compressed) {
      file.gzip ??= new GzipSource(fd);
      return file.gzip.read(into, length, from);
    }
    if (this.#readsLater > 0) {
      this.#readsLater--;
      return new Promise((resolve, reject) => {
        readLater(fd, into, 0, length, from, (error, count) =>
          error === null ? resolve(count) : reject(error),
        );
      });
    }
    const startMs = performance.now();
    const count = readSync(fd, into, 0, length, from);
    if (performance.now() - startMs > slowReadMs) this.#readsLater = readsLater;
    return count;
  }

  /**
   * A writer that does not append leaves a hole before what it writes after a truncation: NUL bytes that nobody wrote.
   * True when the chunk began with one, which is now behind.
   */
  #passHole(file: Tailed, buffer: Buffer, overlap: number, count: number): boolean {
    if (buffer[overlap] !== 0 || !(file.mayBeHole || file.position === 0)) return false;
    let at = overlap;
    while (at < count && buffer[at] === 0) at++;
    if (at - overlap < holeBytesMin && !file.mayBeHole) return false;
    file.mayBeHole = at === count;
    file.tail = Uint8Array.prototype.slice.call(buffer, Math.max(0, at - tailBytes), at);
    file.position += at - overlap;
    this.ready(file);
    return true;
  }

  /** Lines of the chunk into `#lines`; where the unfinished rest begins. */
  #split(file: Tailed, buffer: Buffer, start: number, count: number, full: boolean): number {
    const { limit } = this.#options.maker;
    const lines = this.#lines;
    lines.skipping = file.skipping;
    let rest = lines.split(buffer, start, count, limit);
    if (rest === start && !full && this.#ended(file)) {
      rest = lines.finish(buffer, start, count, limit);
    }
    file.skipping = lines.skipping;
    return rest;
  }

  /** Whether nothing will follow what can be read now, so that the unfinished last line is one. */
  #ended(file: Tailed): boolean {
    return file.last || (file.gzip?.ended ?? false);
  }

  #wantMore(file: Tailed, buffer: Buffer): void {
    const { bytesMax } = this.#options.maker.limit;
    file.wantBytes = Math.min(2 * buffer.length, bytesMax + 2 + tailBytes);
    this.ready(file);
  }

  #atEnd(file: Tailed, complete: boolean): void {
    if (!complete) return;
    file.last = false;
    if (file.gzip?.ended !== true) return;
    file.finished = true;
    this.#options.known.dirty.add(file);
    this.#options.handles.close(file);
  }

  /** Moves the place of reading to `rest`, and gets the chunk ready to be somebody else's. */
  #advance(file: Tailed, buffer: Buffer, from: number, rest: number): void {
    const overlap = file.tail.length;
    file.wantBytes = 0;
    file.mayBeHole = false;
    file.position = from + rest;
    file.tail = Uint8Array.prototype.slice.call(buffer, Math.max(0, rest - tailBytes), rest);
    // Half a character left at the start would make the whole batch invalid UTF-8.
    buffer.fill(0, 0, overlap);
    if (!file.compressed) this.#recognise(file);
  }

  /** Gives the file its name, and a longer fingerprint while it is short. */
  #recognise(file: Tailed): void {
    const { known, settings } = this.#options;
    const headBytes = settings.fingerprint_size;
    if (file.id !== '' && file.fingerprint.bytes === headBytes) return;
    const bytes = Buffer.allocUnsafe(headBytes);
    const head = bytes.subarray(0, readSync(file.fd ?? -1, bytes, 0, headBytes, 0));
    if (file.id === '') file.id = idOf(file, head);
    if (head.length > file.fingerprint.bytes) known.setFingerprint(file, fingerprintOf(head));
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

/**
 * Whether a chunk begins as it has to: with the bytes that were read last, which come along with every read, or at the
 * very start with those that were seen when the file was found. Otherwise it is not the same file any more.
 */
function isContinued(file: Tailed, chunk: Buffer): boolean {
  const { tail, fingerprint } = file;
  if (file.position === 0) return fingerprint.bytes === 0 || startsWith(chunk, fingerprint);
  return chunk.length >= tail.length && chunk.subarray(0, tail.length).equals(tail);
}

/** What a batch over this buffer takes of the budget: bytes, columns and what exporters make of them. */
const cost = (buffer: Buffer): number => Math.ceil(1.5 * buffer.length);
