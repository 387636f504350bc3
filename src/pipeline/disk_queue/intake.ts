// From puts to disk: what waits is written together and forced to disk once (group commit), as far as there is room.

import type { Counter } from '../../telemetry/metrics.ts';
import type { Batch } from '../batch.ts';
import { buffers } from '../buffers.ts';
import type { Context } from '../component.ts';
import { errorChain, RefusedError } from '../errors.ts';
import { Fifo } from '../fifo.ts';
import type { QueueSettings } from '../queue.ts';
import { type Snapshot, writeSnapshot } from '../snapshot.ts';
import { headerBytes, sealFrame } from './frame.ts';
import type { Segments } from './segments.ts';
import type { Position } from './state.ts';

/** Bytes that one commit takes together at the most. */
const commitBytesMax = 2 << 20;
const retryAfterMs = 500;
/** How often a full queue looks whether there is room again, if nobody tells it. */
const lookAgainMs = 100;

const unwritable =
  'cannot write the disk queue, sources wait for what is in it, then for each export';

/** A batch that is on disk. Whoever gets it says `letGo` to the batch, and tells the source with `resolve`. */
export type Committed = {
  readonly batch: Batch;
  readonly records: number;
  readonly sinceMs: number;
  readonly at: Position;
  /** Bytes on disk. */
  readonly length: number;
  readonly memoryBytes: number;
  readonly resolve: () => void;
};

type Put = {
  readonly batch: Batch;
  /** Made when its turn comes: puts that wait take no more memory than their receivers hold anyway. */
  frame: Snapshot | undefined;
  readonly records: number;
  readonly sinceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};

type Framed = Put & { readonly frame: Snapshot };

export type IntakeOptions = {
  readonly segments: Segments;
  readonly settings: QueueSettings;
  readonly segmentBytes: number;
  readonly context: Context;
  /** Whether everything on disk is delivered. */
  readonly isIdle: () => boolean;
  /** Gives space back as `when_full` allows; false: there is none to give now. */
  readonly makeRoom: () => Promise<boolean>;
  readonly onCommit: (frames: readonly Committed[]) => void;
  /** Counts records that are turned away. */
  readonly dropped: (records: number) => void;
  /** Whether somebody else takes batches that cannot be written now: their puts reject with UnwritableError. */
  readonly mayPassOn: () => boolean;
};

/** The volume does not let the batch be written. */
export class UnwritableError extends Error {
  override readonly name = 'UnwritableError';
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #commits: Counter;
  readonly #puts = new Fifo<Put>();
  #running: Promise<void> | undefined;
  #failing = false;
  #tryAgainMs = 0;
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(options: IntakeOptions) {
    const { context } = options;
    this.#options = options;
    this.#commits = context.metrics.counter(
      'meshlog_queue_commits_total',
      'Times that the disk queue was forced to disk.',
      { exporter: context.id },
    );
  }

  /** Whether puts wait for the disk. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Resolves once the batch is on disk, or dropped as `when_full` says. */
  put(batch: Batch): Promise<void> {
    if (this.#failing && this.#options.context.now() < this.#tryAgainMs && this.#isPassing()) {
      return Promise.reject(new UnwritableError('the volume cannot be written'));
    }
    return new Promise((resolve, reject) => {
      const sinceMs = this.#options.context.now();
      const records = batch.count;
      this.#puts.push({ batch, frame: undefined, records, sinceMs, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** There may be room again. */
  wake(): void {
    this.#wake();
  }

  /** Refuses what is not on disk. Returns its records. */
  async end(): Promise<number> {
    this.#ended = true;
    this.#wake();
    // A disk that does not answer must not hold up the end.
    await Promise.race([this.#running, new Promise((done) => setTimeout(done, 1000).unref())]);
    const rest = this.#puts.drain();
    for (const put of rest) {
      const why = `exporter ${this.#options.context.id} stopped before it was on disk`;
      put.reject(new RefusedError(why, { retryable: true }));
    }
    return rest.reduce((sum, put) => sum + put.records, 0);
  }

  async #run(): Promise<void> {
    const { makeRoom } = this.#options;
    // Puts of this turn of the event loop share the commit.
    await Promise.resolve();
    while (this.#puts.length > 0 && !this.#ended) {
      const group = this.#admitted();
      if (group.length > 0) await this.#write(group);
      else if (this.#puts.length > 0 && !(await makeRoom())) await this.#pause(lookAgainMs);
    }
    this.#running = undefined;
  }

  /** Whether a batch that cannot be written goes another way now: never before what is on disk. */
  #isPassing(): boolean {
    return this.#puts.length === 0 && this.#options.mayPassOn();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The puts that fit now; those that `drop_newest` turns away are settled here. */
  #admitted(): Framed[] {
    const { settings, segments, isIdle, dropped } = this.#options;
    const group: Framed[] = [];
    let bytes = 0;
    let free = settings.size - segments.totalBytes;
    for (let put = this.#puts.at(0); put !== undefined; put = this.#puts.at(0)) {
      put.frame ??= frameOf(put.batch);
      const { frame } = put;
      const length = lengthOf(frame);
      if (group.length > 0 && bytes + length > commitBytesMax) break;
      // An empty queue takes any batch, however small the queue is.
      const fits = length <= free || (group.length === 0 && isIdle() && this.#isClean());
      if (!fits && (settings.when_full !== 'drop_newest' || isIdle())) break;
      this.#puts.shift();
      if (!fits) {
        dropped(put.records);
        put.resolve();
        continue;
      }
      group.push({ ...put, frame });
      bytes += length;
      free -= length;
    }
    return group;
  }

  #isClean(): boolean {
    return this.#options.segments.totalBytes === 0;
  }

  async #write(group: readonly Framed[]): Promise<void> {
    const { segments, segmentBytes, context, onCommit } = this.#options;
    const parts = group.flatMap(({ frame }) => [frame.table, frame.bytes]);
    // A write that hangs goes on reading them, whatever becomes of the put.
    for (const { batch } of group) batch.retain();
    try {
      await segments.append(parts, segmentBytes);
    } catch (error) {
      for (const { batch } of group) batch.letGo();
      await this.#failed(group, error);
      return;
    }
    if (this.#failing) context.degraded.end(unwritable);
    this.#failing = false;
    this.#commits.add(1);
    const { segment, offset } = segments.end;
    let at = offset - parts.reduce((sum, part) => sum + part.length, 0);
    const committed = group.map(({ frame, batch, records, sinceMs, resolve }) => {
      const length = lengthOf(frame);
      const position = { segment, offset: at };
      at += length;
      buffers.giveWhole(frame.table);
      const memoryBytes = batch.footprint;
      return { batch, records, sinceMs, at: position, length, memoryBytes, resolve };
    });
    onCommit(committed);
  }

  async #failed(group: readonly Framed[], error: unknown): Promise<void> {
    const { context, isIdle, makeRoom, mayPassOn } = this.#options;
    this.#failing = true;
    this.#tryAgainMs = context.now() + retryAfterMs;
    context.degraded.begin(unwritable, errorChain(error));
    this.#puts.putBack(group);
    // What is delivered need not stay on a full disk.
    if (isIdle() && isFull(error) && (await makeRoom())) return;
    if (!mayPassOn()) return await this.#pause(retryAfterMs);
    for (const put of this.#puts.drain()) {
      put.reject(new UnwritableError('the volume cannot be written', { cause: error }));
    }
  }
}

/** Whether a volume has no room left. */
const isFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

function frameOf(batch: Batch): Snapshot {
  const frame = writeSnapshot(batch, headerBytes);
  sealFrame(frame.table, frame.bytes, batch.count);
  return frame;
}

const lengthOf = ({ table, bytes }: Snapshot): number => table.length + bytes.length;
