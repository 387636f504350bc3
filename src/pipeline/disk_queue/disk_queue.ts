// The queue on disk: a put resolves once its batch is committed, so that the source is acknowledged although the peer
// is away. What was not delivered is delivered by the next process. Own segment files rather than SQLite: see the
// decision of 2026-11-21 in src/README.md.

import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Counter } from '../../telemetry/metrics.ts';
import type { Batch } from '../batch.ts';
import { slackBytes } from '../buffers.ts';
import type { Context } from '../component.ts';
import { errorChain, RefusedError } from '../errors.ts';
import { faultPoint } from '../fault.ts';
import { makeFolder } from '../folder.ts';
import { mergeBatches } from '../merge.ts';
import { type Queue, type QueueSettings, queueMetrics } from '../queue.ts';
import type { Sender } from '../sender.ts';
import { readSnapshot, writeSnapshot } from '../snapshot.ts';
import { headerBytes, sealFrame } from './frame.ts';
import { lockFolder } from './lock.ts';
import { Segments } from './segments.ts';
import { type Position, StateFile } from './state.ts';

/** Bytes of a segment: an eighth of the queue, so that space comes back in steps, within these bounds. */
const segmentBytesMin = 1 << 20;
const segmentBytesMax = 64 << 20;
/** Bytes that one commit takes together at the most. */
const commitBytesMax = 8 << 20;
/** Committed frames kept in memory while the reader keeps up: they need not be read back. */
const recentBytesMax = 8 << 20;
const retryAfterMs = 500;

type Put = {
  readonly frame: Buffer;
  readonly records: number;
  readonly sinceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};

/** Frames that go out as one export; `end` is the position after them. */
type Group = {
  readonly batches: Batch[];
  /** Where its first frame is. */
  segment: number;
  readonly abort: AbortController;
  records: number;
  end: Position;
  /** kept: the process stops, the frames stay on disk. */
  state: 'sending' | 'done' | 'kept';
};

export class DiskQueue implements Queue {
  readonly #folder: string;
  readonly #settings: QueueSettings;
  readonly #sender: Sender;
  readonly #context: Context;
  readonly #segmentBytes: number;
  readonly #abort = new AbortController();
  readonly #enqueueFailed: Counter;
  readonly #damaged: Counter;
  readonly #commits: Counter;
  #segments: Segments | undefined;
  #state: StateFile | undefined;
  #lock: DatabaseSync | undefined;
  #puts: Put[] = [];
  #committing = false;
  #commitFailing = false;
  #read: Position = { segment: 0, offset: 0 };
  #frontier: Position = { segment: 0, offset: 0 };
  #groups: Group[] = [];
  #reading = false;
  /** While the oldest file is being given up nothing new goes out. */
  #dropping = false;
  #stopping = false;
  #recent = new Map<string, { frame: Buffer; records: number }>();
  #recentBytes = 0;
  #oldestMs = Number.POSITIVE_INFINITY;
  #waitingRecords = 0;
  #timer: NodeJS.Timeout | undefined;
  #wake: (() => void)[] = [];

  constructor(folder: string, settings: QueueSettings, sender: Sender, context: Context) {
    this.#folder = folder;
    this.#settings = settings;
    this.#sender = sender;
    this.#context = context;
    this.#segmentBytes = Math.min(segmentBytesMax, Math.max(segmentBytesMin, settings.size / 8));
    sender.waiting = () =>
      `0 lost, disk queue ${mebibytes(this.#usedBytes())} of ${mebibytes(settings.size)} MiB`;
    this.#enqueueFailed = queueMetrics(context, settings, {
      bytes: () => this.#usedBytes(),
      oldestMs: () => this.#oldestMs,
    });
    const labels = { exporter: context.id };
    this.#damaged = context.metrics.counter(
      'meshlog_queue_damaged_bytes_total',
      'Bytes of the disk queue that were damaged and skipped.',
      labels,
    );
    this.#commits = context.metrics.counter(
      'meshlog_queue_commits_total',
      'Times that the disk queue was forced to disk.',
      labels,
    );
  }

  async start(): Promise<void> {
    await makeFolder(this.#folder);
    this.#lock = lockFolder(this.#folder);
    this.#state = new StateFile(join(this.#folder, 'state'));
    this.#segments = await Segments.open(this.#folder);
    if (this.#state.damaged) {
      this.#context.log.warn(
        'queue state is damaged: delivering everything that is in the queue again',
      );
    }
    this.#read = this.#state.initial ?? { segment: this.#segments.first ?? 0, offset: 0 };
    this.#frontier = this.#read;
    await this.#segments.removeBefore(this.#read.segment);
    const waiting = this.#unreadBytes();
    if (waiting > 0) {
      this.#context.log.info(`${mebibytes(waiting)} MiB wait in the disk queue from before`);
    }
    // Never behind a torn end: what an earlier process left is only read.
    await this.#segments.append([], this.#segmentBytes);
    void this.#deliver();
  }

  put(batch: Batch): Promise<void> {
    if (this.#stopping || this.#segments === undefined) {
      return Promise.reject(new RefusedError('queue is stopping', { retryable: true }));
    }
    return new Promise((resolve, reject) => {
      const { buffer, end } = writeSnapshot(batch, headerBytes);
      const frame = buffer.subarray(0, end);
      sealFrame(frame, batch.count);
      const sinceMs = this.#context.now();
      this.#puts.push({ frame, records: batch.count, sinceMs, resolve, reject });
      void this.#commit();
    });
  }

  async stop(deadline: AbortSignal): Promise<{ left: number; persisted: number }> {
    this.#stopping = true;
    deadline.addEventListener('abort', () => this.#abort.abort(deadline.reason));
    if (deadline.aborted) this.#abort.abort(deadline.reason);
    while ((this.#committing || this.#puts.length > 0) && !this.#abort.signal.aborted) {
      await this.#pause();
    }
    // A peer that is away would only use up the grace period: what is on disk is safe.
    while (!this.#idle() && !this.#abort.signal.aborted && !this.#sender.failing) {
      this.#schedule();
      await this.#pause();
    }
    this.#abort.abort(new Error('stopped'));
    while (this.#running() > 0 || this.#reading) await this.#pause();
    clearTimeout(this.#timer);
    const left = this.#puts.reduce((sum, put) => sum + put.records, 0);
    for (const put of this.#puts.splice(0)) {
      put.reject(new RefusedError('stopped before it was on disk', { retryable: true }));
    }
    const persisted = this.#waitingRecords;
    this.#saveFrontier(true);
    await this.#segments?.close();
    this.#state?.close();
    this.#lock?.close();
    return { left, persisted };
  }

  /** Whether everything on disk is delivered. */
  #idle(): boolean {
    return !this.#reading && this.#groups.length === 0 && this.#unreadBytes() === 0;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 20);
      this.#wake.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  // ---- from puts to disk

  /** Writes what waits, as much as one commit takes, until nothing waits or the queue is full. */
  async #commit(): Promise<void> {
    const segments = this.#segments;
    if (this.#committing || segments === undefined) return;
    this.#committing = true;
    // Puts of this turn of the event loop share the commit.
    await Promise.resolve();
    while (this.#puts.length > 0 && !this.#abort.signal.aborted) {
      const group = this.#admitted(segments);
      if (group.length === 0) {
        if (await this.#madeRoom(segments)) continue;
        await this.#pause();
        continue;
      }
      try {
        await segments.append(
          group.map(({ frame }) => frame),
          this.#segmentBytes,
        );
        this.#commits.add(1);
        this.#committed(group, segments.end);
      } catch (error) {
        this.#puts.unshift(...group);
        if (!this.#commitFailing) {
          this.#context.log.error(
            `cannot write the disk queue, sources wait: ${errorChain(error)}`,
          );
        }
        this.#commitFailing = true;
        await new Promise((done) => setTimeout(done, retryAfterMs));
      }
    }
    this.#committing = false;
    this.#notify();
  }

  /** The puts that fit now; those that `drop_newest` turns away are settled here. */
  #admitted(segments: Segments): Put[] {
    const { size, when_full } = this.#settings;
    const group: Put[] = [];
    let bytes = 0;
    let free = size - segments.totalBytes;
    while (this.#puts.length > 0) {
      const put = this.#puts[0] as Put;
      if (group.length > 0 && bytes + put.frame.length > commitBytesMax) break;
      // An empty queue takes any batch, however small the queue is.
      const fits = put.frame.length <= free || (this.#idle() && group.length === 0);
      if (!fits && when_full !== 'drop_newest') break;
      this.#puts.shift();
      if (!fits) {
        this.#dropped(put.records);
        put.resolve();
        continue;
      }
      group.push(put);
      bytes += put.frame.length;
      free -= put.frame.length;
    }
    return group;
  }

  #dropped(records: number): void {
    this.#enqueueFailed.add(records);
    this.#context.drop('queue_full', records);
  }

  #committed(group: Put[], end: Position): void {
    if (this.#commitFailing) this.#context.log.info('the disk queue can be written again');
    this.#commitFailing = false;
    let offset = end.offset - group.reduce((sum, { frame }) => sum + frame.length, 0);
    for (const { frame, records, sinceMs, resolve } of group) {
      if (this.#recentBytes + frame.length <= recentBytesMax) {
        this.#recent.set(`${end.segment}:${offset}`, { frame, records });
        this.#recentBytes += frame.length;
      }
      offset += frame.length;
      this.#waitingRecords += records;
      this.#oldestMs = Math.min(this.#oldestMs, sinceMs);
      resolve();
    }
    this.#schedule();
  }

  /** Gives space back: files that are delivered, or, with drop_oldest, the file that waits longest. */
  async #madeRoom(segments: Segments): Promise<boolean> {
    if (this.#idle()) {
      await segments.seal();
      this.#frontier = segments.end;
      this.#read = this.#frontier;
      return this.#clean(segments);
    }
    if (this.#settings.when_full !== 'drop_oldest') return false;
    await this.#dropOldest(segments);
    return true;
  }

  async #dropOldest(segments: Segments): Promise<void> {
    const oldest = segments.first ?? 0;
    this.#dropping = true;
    for (const group of this.#groups) {
      if (group.segment <= oldest && group.state === 'sending') group.abort.abort('dropped');
    }
    while (this.#reading || this.#groups.some(({ segment }) => segment <= oldest)) {
      await this.#pause();
    }
    this.#reading = true;
    while (this.#read.segment <= oldest) {
      const result = await segments.read(this.#read);
      if (result.kind === 'end' || result.next.segment > oldest) break;
      if (result.kind === 'frame') this.#gone(result.header.records);
      this.#read = result.next;
    }
    if (oldest === segments.end.segment) await segments.seal();
    if (this.#read.segment <= oldest) this.#read = { segment: oldest + 1, offset: 0 };
    if (this.#groups.length === 0) this.#frontier = this.#read;
    this.#reading = false;
    this.#dropping = false;
    await this.#clean(segments);
  }

  /** Records that were on disk and are dropped. */
  #gone(records: number): void {
    this.#waitingRecords = Math.max(0, this.#waitingRecords - records);
    this.#dropped(records);
  }

  // ---- from disk to the exporter

  #schedule(): void {
    void this.#deliver();
  }

  async #deliver(): Promise<void> {
    if (this.#reading || this.#dropping) return;
    this.#reading = true;
    try {
      while (this.#running() < this.#settings.concurrency && !this.#abort.signal.aborted) {
        const group = await this.#nextGroup();
        if (group === undefined) break;
        this.#groups.push(group);
        void this.#export(group);
      }
    } catch (error) {
      this.#context.log.error(`cannot read the disk queue: ${errorChain(error)}`);
      this.#timer ??= setTimeout(() => this.#again(), retryAfterMs);
    } finally {
      this.#reading = false;
    }
  }

  #again(): void {
    this.#timer = undefined;
    this.#schedule();
  }

  #running(): number {
    return this.#groups.filter(({ state }) => state === 'sending').length;
  }

  /** The frames that go out next; undefined: none, or too few yet. */
  async #nextGroup(): Promise<Group | undefined> {
    const segments = this.#segments;
    if (segments === undefined) return undefined;
    const { min_size, max_size, flush_timeout } = this.#settings.batch;
    const waiting = this.#unreadBytes();
    const waitedMs = this.#context.now() - this.#oldestMs;
    if (!this.#stopping && waiting < min_size && waitedMs < flush_timeout && waiting > 0) {
      this.#timer ??= setTimeout(() => this.#again(), Math.max(1, flush_timeout - waitedMs));
      return undefined;
    }
    const group: Group = {
      batches: [],
      segment: this.#read.segment,
      abort: new AbortController(),
      records: 0,
      end: this.#read,
      state: 'sending',
    };
    let bytes = 0;
    while (bytes < max_size) {
      const frame = await this.#frame(segments);
      if (frame === undefined) break;
      if (group.batches.length === 0) group.segment = this.#read.segment;
      group.batches.push(frame.batch);
      group.records += frame.records;
      group.end = this.#read;
      bytes += frame.batch.length;
    }
    return group.batches.length === 0 ? undefined : group;
  }

  async #frame(segments: Segments): Promise<{ batch: Batch; records: number } | undefined> {
    for (;;) {
      const key = `${this.#read.segment}:${this.#read.offset}`;
      const recent = this.#recent.get(key);
      if (recent !== undefined) {
        this.#recent.delete(key);
        this.#recentBytes -= recent.frame.length;
        const { segment, offset } = this.#read;
        this.#read = { segment, offset: offset + recent.frame.length };
        return { batch: snapshotOf(recent.frame), records: recent.records };
      }
      const result = await segments.read(this.#read);
      if (result.kind === 'end') return undefined;
      this.#read = result.next;
      if (result.kind === 'frame') {
        const whole = result.payload;
        const batch = readSnapshot(withSlack(whole), 0, whole.length);
        return { batch, records: result.header.records };
      }
      if (result.torn) {
        this.#context.log.info(
          'the disk queue ends in an unfinished write, which nobody was promised',
        );
        continue;
      }
      this.#damaged.add(result.bytes);
      if (result.records > 0) this.#context.drop('queue_damaged', result.records);
      this.#context.log.error(`${result.bytes} damaged bytes of the disk queue were skipped`);
    }
  }

  async #export(group: Group): Promise<void> {
    const signal = AbortSignal.any([this.#abort.signal, group.abort.signal]);
    try {
      faultPoint('before_export');
      for (const batch of bySource(group.batches)) await this.#sender.send(batch, signal);
      faultPoint('after_export');
      this.#waitingRecords = Math.max(0, this.#waitingRecords - group.records);
      group.state = 'done';
    } catch {
      group.state = group.abort.signal.aborted ? 'done' : 'kept';
      if (group.state === 'done') this.#gone(group.records);
    }
    await this.#advance();
    this.#notify();
    this.#schedule();
  }

  /** Moves the frontier over the groups that are delivered, in order. */
  async #advance(): Promise<void> {
    let moved = false;
    while (this.#groups[0]?.state === 'done') {
      this.#frontier = (this.#groups.shift() as Group).end;
      moved = true;
    }
    const segments = this.#segments;
    if (!moved || segments === undefined) return;
    this.#oldestMs = this.#idle() ? Number.POSITIVE_INFINITY : this.#context.now();
    if ((segments.first ?? 0) < this.#frontier.segment) await this.#clean(segments);
    else this.#saveFrontier(false);
  }

  #saveFrontier(sync: boolean): void {
    faultPoint('before_checkpoint');
    this.#state?.write(this.#frontier);
    faultPoint('after_checkpoint');
    if (sync) this.#state?.sync();
  }

  /** The frontier first, forced to disk, then the files: never a file gone that the frontier still needs. */
  async #clean(segments: Segments): Promise<boolean> {
    this.#saveFrontier(true);
    return segments.removeBefore(this.#frontier.segment);
  }

  /** Bytes on disk that no export has taken yet. */
  #unreadBytes(): number {
    return this.#segments?.bytesAfter(this.#read) ?? 0;
  }

  #usedBytes(): number {
    return this.#segments?.bytesAfter(this.#frontier) ?? 0;
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Batches of one source put together, in order; in practice one. */
function bySource(batches: readonly Batch[]): Batch[] {
  const groups: Batch[][] = [];
  for (const batch of batches) {
    const last = groups.at(-1);
    if (last?.[0]?.source === batch.source) last.push(batch);
    else groups.push([batch]);
  }
  return groups.map((group) => (group.length === 1 ? (group[0] as Batch) : mergeBatches(group)));
}

const mebibytes = (bytes: number): string => (bytes / 1024 ** 2).toFixed(1);

function snapshotOf(frame: Buffer): Batch {
  return readSnapshot(withSlack(frame), headerBytes, frame.length);
}

/** The same bytes with what lies behind them in memory: frames are made with slack that their length does not show. */
function withSlack(bytes: Buffer): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length + slackBytes);
}
