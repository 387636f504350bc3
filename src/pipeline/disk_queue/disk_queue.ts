// The queue on disk: a put resolves once its batch is committed, so that the source is acknowledged although the peer
// is away. What was not delivered is delivered by the next process. Own segment files rather than SQLite: see the
// decision of 2026-11-21 in src/README.md.

import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Batch } from '../batch.ts';
import type { Context } from '../component.ts';
import { errorChain, RefusedError } from '../errors.ts';
import { faultPoint } from '../fault.ts';
import { makeLastingFolder } from '../folder.ts';
import { grouped } from '../merge.ts';
import {
  type Load,
  mebibytes,
  type Queue,
  type QueueSettings,
  queueGauges,
  type Rest,
} from '../queue.ts';
import type { Sender } from '../sender.ts';
import { FrameReader } from './frame_reader.ts';
import { type Group, readGroup } from './group.ts';
import { Intake } from './intake.ts';
import { lockFolder } from './lock.ts';
import { Segments } from './segments.ts';
import { type Position, StateFile } from './state.ts';

/** Bytes of a segment: an eighth of the queue, so that space comes back in steps, within these bounds. */
const segmentBytesMin = 256 << 10;
const segmentBytesMax = 64 << 20;
const retryAfterMs = 500;
/** An export that does not end when it is told to is left behind after this long. */
const lettingGoMs = 500;
const untidy = 'cannot note what the disk queue has delivered, after a restart it comes again';

/** What an open queue has. */
type Parts = {
  readonly segments: Segments;
  readonly state: StateFile;
  readonly lock: DatabaseSync;
  readonly reader: FrameReader;
  readonly intake: Intake;
};

export class DiskQueue implements Queue {
  readonly #folder: string;
  readonly #settings: QueueSettings;
  readonly #sender: Sender;
  readonly #context: Context;
  readonly #abort = new AbortController();
  #parts: Parts | undefined;
  #frontier: Position = { segment: 0, offset: 0 };
  #groups: Group[] = [];
  #reading = false;
  /** While the oldest file is being given up nothing new goes out. */
  #dropping = false;
  #stopping = false;
  /** Since when the first unread frame waits; Infinity: there is none. */
  #unreadSinceMs = Number.POSITIVE_INFINITY;
  /** Somebody takes batches that cannot be written (disk_or_memory.ts). */
  hasStandIn = false;
  #readFails = false;
  #timer: NodeJS.Timeout | undefined;
  #wake: (() => void)[] = [];
  #unpublish: () => void = () => undefined;

  constructor(folder: string, settings: QueueSettings, sender: Sender, context: Context) {
    this.#folder = folder;
    this.#settings = settings;
    this.#sender = sender;
    this.#context = context;
    sender.waiting = () =>
      `0 lost, disk queue ${mebibytes(this.#usedBytes())} of ${mebibytes(settings.size)} MiB`;
  }

  readonly load: Load = {
    bytes: () => this.#usedBytes(),
    oldestMs: () => this.#groups[0]?.sinceMs ?? this.#unreadSinceMs,
  };

  publish(): void {
    const gauges = queueGauges(this.#context, this.#settings, this.load);
    const circuit = this.#sender.publish();
    this.#unpublish = () => {
      gauges();
      circuit();
    };
  }

  async start(): Promise<void> {
    await makeLastingFolder(this.#folder);
    const lock = lockFolder(this.#folder);
    try {
      this.#parts = await this.#open(lock);
    } catch (error) {
      lock.close();
      throw error;
    }
    void this.#deliver();
  }

  async #open(lock: DatabaseSync): Promise<Parts> {
    const segments = await Segments.open(this.#folder);
    const state = new StateFile(join(this.#folder, 'state'));
    try {
      return await this.#begin({ segments, state, lock });
    } catch (error) {
      state.close();
      await segments.close();
      throw error;
    }
  }

  async #begin(files: Pick<Parts, 'segments' | 'state' | 'lock'>): Promise<Parts> {
    const context = this.#context;
    const { segments, state } = files;
    const isUnknown = state.initial === undefined && segments.first !== undefined;
    const begin = state.initial ?? { segment: segments.first ?? 0, offset: 0 };
    this.#frontier = begin;
    state.write(begin);
    state.sync();
    await segments.removeBefore(begin.segment);
    await segments.removeEmpty();
    const reader = new FrameReader(segments, begin, context);
    const waiting = reader.unreadBytes;
    // Never behind a torn end: what an earlier process left is only read. Nor before the frontier.
    await segments.begin(begin.segment);
    if (isUnknown) {
      const what = state.existed ? 'damaged' : 'missing';
      context.log.warn(
        `queue state is ${what}: everything that is in the queue is delivered, again where it was before`,
      );
    }
    if (waiting > 0) {
      this.#unreadSinceMs = context.now();
      context.log.info(`${mebibytes(waiting)} MiB wait in the disk queue from before`);
    }
    const eighth = this.#settings.size / 8;
    const intake = new Intake({
      segments,
      settings: this.#settings,
      segmentBytes: Math.min(segmentBytesMax, Math.max(segmentBytesMin, eighth)),
      context,
      isIdle: () => this.#idle(),
      mayPassOn: () => this.hasStandIn && (this.#idle() || this.#settings.when_full !== 'block'),
      makeRoom: () => this.#madeRoom(),
      onCommit: (frames) => {
        reader.committed(frames, this.#sender.failing);
        this.#unreadSinceMs = Math.min(this.#unreadSinceMs, frames[0]?.sinceMs ?? context.now());
        this.#schedule();
      },
    });
    return { ...files, reader, intake };
  }

  put(batch: Batch): Promise<void> {
    if (this.#stopping || this.#parts === undefined) {
      return Promise.reject(
        new RefusedError(`exporter ${this.#context.id} is stopping`, { retryable: true }),
      );
    }
    return this.#parts.intake.put(batch);
  }

  async stop(deadline: AbortSignal): Promise<Rest> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const parts = this.#parts;
    if (parts === undefined) return { left: 0, persisted: 0 };
    const { intake, segments, state, lock, reader } = parts;
    reader.fresh.hurry();
    deadline.addEventListener('abort', () => this.#abort.abort(deadline.reason));
    if (deadline.aborted) this.#abort.abort(deadline.reason);
    while (intake.busy && !this.#abort.signal.aborted) await this.#pause();
    // A peer that is away would only use up the grace period: what is on disk is safe.
    while (!this.#idle() && !this.#abort.signal.aborted && !this.#sender.failing) {
      this.#schedule();
      await this.#pause();
    }
    this.#abort.abort(new Error('stopped'));
    const left = await intake.end();
    const patienceEndMs = performance.now() + lettingGoMs;
    while ((this.#running() > 0 || this.#reading) && performance.now() < patienceEndMs) {
      await this.#pause();
    }
    clearTimeout(this.#timer);
    this.#unpublish();
    this.#parts = undefined;
    this.#saveFrontier(state, true);
    const persisted = segments.recordsAfter(this.#frontier);
    await segments.close().catch(() => undefined);
    state.close();
    lock.close();
    return { left, persisted };
  }

  /** Whether everything on disk is delivered. */
  #idle(): boolean {
    const unread = this.#parts?.reader.unreadBytes ?? 0;
    return !this.#reading && this.#groups.length === 0 && unread === 0;
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

  // ---- room for more

  /** Gives space back: files that are delivered, or, with drop_oldest, the file that waits longest. */
  async #madeRoom(): Promise<boolean> {
    const parts = this.#parts;
    if (parts === undefined || this.#abort.signal.aborted) return false;
    if (this.#idle()) {
      await parts.segments.seal().catch((error: unknown) => this.#cannotSave(error));
      this.#frontier = parts.segments.end;
      parts.reader.skipTo(this.#frontier);
      return this.#clean(parts);
    }
    if (this.#settings.when_full !== 'drop_oldest') return false;
    await this.#dropOldest(parts);
    return true;
  }

  async #dropOldest(parts: Parts): Promise<void> {
    const { segments, reader, intake } = parts;
    const oldest = segments.first ?? 0;
    this.#dropping = true;
    for (const group of this.#groups) {
      if (group.segment <= oldest && group.state === 'sending') group.abort.abort('dropped');
    }
    while (this.#reading || this.#groups.some(({ segment }) => segment <= oldest)) {
      if (this.#abort.signal.aborted) return;
      await this.#pause();
    }
    if (reader.position.segment <= oldest) {
      intake.dropped(segments.recordsAfter(reader.position, oldest));
      if (oldest === segments.end.segment) {
        await segments.seal().catch((error: unknown) => this.#cannotSave(error));
      }
      reader.skipTo({ segment: oldest + 1, offset: 0 });
    }
    if (this.#groups.length === 0) this.#frontier = reader.position;
    this.#dropping = false;
    await this.#clean(parts);
    this.#schedule();
  }

  // ---- from disk to the exporter

  #schedule(): void {
    void this.#deliver();
  }

  async #deliver(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined || this.#reading || this.#dropping) return;
    this.#reading = true;
    try {
      while (this.#running() < this.#settings.concurrency && !this.#abort.signal.aborted) {
        const group = await this.#nextGroup(parts.reader);
        if (group === undefined) break;
        this.#groups.push(group);
        void this.#export(group);
      }
      if (this.#readFails) this.#context.log.info('the disk queue can be read again');
      this.#readFails = false;
    } catch (error) {
      if (!this.#readFails) {
        this.#context.log.error(`cannot read the disk queue, trying again: ${errorChain(error)}`);
      }
      this.#readFails = true;
      this.#later(retryAfterMs);
    } finally {
      this.#reading = false;
    }
  }

  #later(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#schedule();
    }, ms);
  }

  #running(): number {
    return this.#groups.filter(({ state }) => state === 'sending').length;
  }

  /** The frames that go out next; undefined: none, or too few yet. */
  async #nextGroup(reader: FrameReader): Promise<Group | undefined> {
    const { min_size, flush_timeout } = this.#settings.batch;
    const { now } = this.#context;
    const waiting = reader.unreadBytes;
    const waitedMs = now() - this.#unreadSinceMs;
    if (waiting === 0) return undefined;
    if (!this.#stopping && waiting < min_size && waitedMs < flush_timeout) {
      this.#later(Math.max(1, flush_timeout - waitedMs));
      return undefined;
    }
    const group = await readGroup(reader, this.#settings.batch, now());
    // What was read before a failure goes out first; the same place is read again afterwards.
    if (group.failed) this.#later(retryAfterMs);
    this.#unreadSinceMs = reader.unreadBytes === 0 ? Number.POSITIVE_INFINITY : now();
    if (group.frames.length > 0) return group;
    // Nothing but damage: it need not be looked at again.
    if (this.#groups.length === 0) this.#frontier = reader.position;
    return undefined;
  }

  async #export(group: Group): Promise<void> {
    const stop = (): void => group.abort.abort(this.#abort.signal.reason);
    this.#abort.signal.addEventListener('abort', stop, { once: true });
    if (this.#abort.signal.aborted) stop();
    const { whole, made } = grouped(group.frames.map(({ batch }) => batch));
    let settled = false;
    try {
      for (const batch of whole) await this.#sender.send(batch, group.abort.signal);
      for (const batch of made) batch.release();
      settled = true;
      group.state = 'done';
    } catch {
      // The sender gives up only when it is told to: the process stops, or the oldest file is dropped.
      group.state = this.#abort.signal.aborted ? 'kept' : 'done';
      if (group.state === 'done') this.#parts?.intake.dropped(group.records);
    }
    for (const { done } of group.frames.splice(0)) done(settled);
    this.#abort.signal.removeEventListener('abort', stop);
    await this.#advance();
    for (const wake of this.#wake.splice(0)) wake();
    this.#parts?.intake.wake();
    this.#schedule();
  }

  /** Moves the frontier over the groups that are delivered, in order. */
  async #advance(): Promise<void> {
    let moved = false;
    while (this.#groups[0]?.state === 'done') {
      this.#frontier = (this.#groups.shift() as Group).end;
      moved = true;
    }
    const parts = this.#parts;
    if (!moved || parts === undefined) return;
    if ((parts.segments.first ?? 0) < this.#frontier.segment) await this.#clean(parts);
    else this.#saveFrontier(parts.state, false);
  }

  /** False when it could not be written: then what was delivered since is delivered again after a restart. */
  #saveFrontier(state: StateFile, sync: boolean): boolean {
    try {
      faultPoint('before_checkpoint');
      state.write(this.#frontier);
      faultPoint('after_checkpoint');
      if (sync) state.sync();
      this.#context.degraded.end(untidy);
      return true;
    } catch (error) {
      this.#cannotSave(error);
      return false;
    }
  }

  #cannotSave(error: unknown): void {
    this.#context.degraded.begin(untidy, errorChain(error));
  }

  /** The frontier first, forced to disk, then the files: never a file gone that the frontier still needs. */
  async #clean({ segments, state }: Parts): Promise<boolean> {
    if (!this.#saveFrontier(state, true)) return false;
    try {
      return await segments.removeBefore(this.#frontier.segment);
    } catch (error) {
      this.#cannotSave(error);
      return false;
    }
  }

  #usedBytes(): number {
    return this.#parts?.segments.bytesAfter(this.#frontier) ?? 0;
  }
}
