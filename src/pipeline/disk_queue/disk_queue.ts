// The queue on disk: a put resolves once its batch is committed, so that the source is acknowledged although the peer
// is away. What was not delivered is delivered by the next process. Own segment files rather than SQLite: see the
// decision of 2026-11-21 in src/README.md.

import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Batch } from '../batch.ts';
import type { Context } from '../component.ts';
import { RefusedError } from '../errors.ts';
import { makeLastingFolder } from '../folder.ts';
import {
  type Load,
  mebibytes,
  type Queue,
  type QueueSettings,
  queueDrops,
  queueGauges,
  type Rest,
} from '../queue.ts';
import type { Sender } from '../sender.ts';
import { FrameReader } from './frame_reader.ts';
import { Frontier } from './frontier.ts';
import { Intake } from './intake.ts';
import { lockFolder } from './lock.ts';
import { Outlet } from './outlet.ts';
import { Segments } from './segments.ts';
import { StateFile } from './state.ts';

/** Bytes of a segment: an eighth of the queue, so that space comes back in steps, within these bounds. */
const segmentBytesMin = 256 << 10;
const segmentBytesMax = 64 << 20;
/** An export, or a disk, that does not end when it is told to is left behind after this long. */
const lettingGoMs = 500;

/** What an open queue has. */
type Parts = {
  readonly segments: Segments;
  readonly lock: DatabaseSync;
  readonly reader: FrameReader;
  readonly frontier: Frontier;
  readonly intake: Intake;
  readonly outlet: Outlet;
};

export class DiskQueue implements Queue {
  readonly #folder: string;
  readonly #settings: QueueSettings;
  readonly #sender: Sender;
  readonly #context: Context;
  /** Counts records that a full queue turned away or gave up. */
  readonly #dropped: (records: number) => void;
  #parts: Parts | undefined;
  #stopping = false;
  /** Somebody takes batches that cannot be written (disk_or_memory.ts). */
  hasStandIn = false;
  #unpublish: () => void = () => undefined;

  constructor(folder: string, settings: QueueSettings, sender: Sender, context: Context) {
    this.#folder = folder;
    this.#settings = settings;
    this.#sender = sender;
    this.#context = context;
    this.#dropped = queueDrops(context, settings);
    sender.waiting = () =>
      `0 lost, disk queue ${mebibytes(this.load.bytes())} of ${mebibytes(settings.size)} MiB`;
  }

  readonly load: Load = {
    bytes: () => (this.#parts?.frontier.waitingBytes ?? 0) + (this.#parts?.intake.bytes ?? 0),
    oldestMs: () =>
      Math.min(
        this.#parts?.outlet.oldestMs ?? Number.POSITIVE_INFINITY,
        this.#parts?.intake.waitingSinceMs ?? Number.POSITIVE_INFINITY,
      ),
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
    this.#parts.outlet.schedule();
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

  async #begin(files: {
    segments: Segments;
    state: StateFile;
    lock: DatabaseSync;
  }): Promise<Parts> {
    const context = this.#context;
    const { segments, state, lock } = files;
    const isUnknown = state.initial === undefined && segments.first !== undefined;
    const begin = state.initial ?? { segment: segments.first ?? 0, offset: 0 };
    state.write(begin);
    await state.sync();
    await segments.removeBefore(begin.segment);
    await segments.removeEmpty();
    const frontier = new Frontier(files, begin, context);
    const reader = new FrameReader(segments, begin, context);
    // Never behind a torn end: what an earlier process left is only read. Nor before the frontier.
    await segments.begin(begin.segment);
    if (isUnknown) {
      const what = state.existed ? 'damaged' : 'missing';
      context.log.warn(
        `queue state is ${what}: everything that is in the queue is delivered, again where it was before`,
      );
    }
    const waiting = reader.unreadBytes;
    if (waiting > 0) {
      context.log.info(`${mebibytes(waiting)} MiB wait in the disk queue from before`);
    }
    const { intake, outlet } = this.#ends({ segments, reader, frontier });
    return { segments, lock, reader, frontier, intake, outlet };
  }

  #ends(parts: Pick<Parts, 'segments' | 'reader' | 'frontier'>): Pick<Parts, 'intake' | 'outlet'> {
    const { segments, reader, frontier } = parts;
    const settings = this.#settings;
    const shared = { settings, context: this.#context, dropped: this.#dropped };
    const outlet: Outlet = new Outlet({
      ...shared,
      reader,
      frontier,
      sender: this.#sender,
      onRoom: () => intake.wake(),
      intake: () => intake,
    });
    const intake: Intake = new Intake({
      ...shared,
      segments,
      segmentBytes: Math.min(segmentBytesMax, Math.max(segmentBytesMin, settings.size / 8)),
      isIdle: () => outlet.isDiskIdle,
      keepsUp: () =>
        !this.#sender.failing &&
        reader.unreadBytes === reader.fresh.bytes &&
        outlet.movesWithin(settings.persist_after),
      mayPassOn: () => this.hasStandIn && (outlet.isDiskIdle || settings.when_full !== 'block'),
      makeRoom: () => this.#madeRoom(),
      onPut: () => outlet.schedule(),
      onWritten: (frames, passed) => outlet.written(frames, passed),
    });
    return { intake, outlet };
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
    const parts = this.#parts;
    if (parts === undefined) return { left: 0, persisted: 0 };
    const { intake, outlet, frontier, segments, lock, reader } = parts;
    reader.fresh.hurry();
    outlet.hurry = true;
    intake.hurry();
    deadline.addEventListener('abort', () => outlet.stop(deadline.reason));
    if (deadline.aborted) outlet.stop(deadline.reason);
    while (intake.busy && !outlet.isStopped) await outlet.pause();
    // A peer that is away would only use up the grace period: what is on disk is safe.
    while (!outlet.isIdle && !outlet.isStopped && !this.#sender.failing) {
      outlet.schedule();
      await outlet.pause();
    }
    outlet.stop(new Error('stopped'));
    const left = await intake.end();
    const patienceEndMs = performance.now() + lettingGoMs;
    while (outlet.isBusy && performance.now() < patienceEndMs) await outlet.pause();
    this.#unpublish();
    this.#parts = undefined;
    await frontier.close(lettingGoMs);
    const persisted = frontier.waitingRecords;
    // It waits for what is being read and written.
    const closed = segments.close().catch(() => undefined);
    await Promise.race([closed, new Promise((done) => setTimeout(done, lettingGoMs).unref())]);
    lock.close();
    return { left, persisted };
  }

  /** Gives space back: files that are delivered, or, with drop_oldest, the file that waits longest. */
  async #madeRoom(): Promise<boolean> {
    const parts = this.#parts;
    if (parts === undefined || parts.outlet.isStopped) return false;
    const { segments, reader, frontier, outlet } = parts;
    if (outlet.isDiskIdle) {
      await segments.seal().catch((error: unknown) => frontier.troubled(error));
      frontier.position = segments.end;
      reader.skipTo(frontier.position);
      return frontier.clean();
    }
    if (this.#settings.when_full !== 'drop_oldest') return false;
    return this.#dropOldest(parts);
  }

  /** Returns whether that gave space back. */
  async #dropOldest({ segments, reader, frontier, outlet }: Parts): Promise<boolean> {
    const oldest = segments.first ?? 0;
    if (!(await outlet.withdraw(oldest))) return false;
    if (reader.position.segment <= oldest) {
      this.#dropped(segments.recordsAfter(reader.position, oldest));
      if (oldest === segments.end.segment) {
        await segments.seal().catch((error: unknown) => frontier.troubled(error));
      }
      const { end } = segments;
      // What comes next goes into the same file when no other could be begun.
      reader.skipTo(end.segment > oldest ? { segment: oldest + 1, offset: 0 } : end);
    }
    outlet.resume();
    return frontier.clean();
  }
}
