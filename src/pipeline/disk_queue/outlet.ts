// From the queue to the exporter: groups of frames in order, some at once, and the frontier behind them.

import type { Context } from '../component.ts';
import { errorChain } from '../errors.ts';
import { grouped } from '../merge.ts';
import type { QueueSettings } from '../queue.ts';
import type { Sender } from '../sender.ts';
import type { FrameReader } from './frame_reader.ts';
import type { Frontier } from './frontier.ts';
import { type Group, readGroup, takeGroup } from './group.ts';
import type { Intake } from './intake.ts';
import type { Committed, Outcome } from './puts.ts';
import type { Position } from './state.ts';

const retryAfterMs = 500;

export type OutletOptions = {
  readonly reader: FrameReader;
  readonly frontier: Frontier;
  readonly settings: QueueSettings;
  readonly sender: Sender;
  readonly context: Context;
  /** Counts records that are given up. */
  readonly dropped: (records: number) => void;
  /** There may be room again. */
  readonly onRoom: () => void;
  /** What comes next that is not on disk. */
  readonly intake: () => Intake;
};

export class Outlet {
  readonly #options: OutletOptions;
  readonly #stop = new AbortController();
  #groups: Group[] = [];
  #reading = false;
  /** Something may have come since it looked last. */
  #isAsked = false;
  /** While the oldest file is being given up nothing new goes out. */
  #withdrawing = false;
  /** From now on small batches do not wait for company. */
  hurry = false;
  /** Since when the first unread frame waits; Infinity: there is none. */
  #unreadSinceMs = Number.POSITIVE_INFINITY;
  #readFails = false;
  /** When the last export ended, or the first one began. */
  #movedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #wake: (() => void)[] = [];

  constructor(options: OutletOptions) {
    this.#options = options;
    if (options.reader.unreadBytes > 0) this.#unreadSinceMs = options.context.now();
  }

  /** Whether there is nothing to do. */
  get isIdle(): boolean {
    return !this.isBusy && this.#groups.length === 0 && this.#options.reader.unreadBytes === 0;
  }

  /** Whether everything on disk is delivered. */
  get isDiskIdle(): boolean {
    const isOnDisk = ({ end, writing }: Group): boolean => end !== undefined || writing > 0;
    const { reader } = this.#options;
    return !this.#reading && reader.unreadBytes === 0 && !this.#groups.some(isOnDisk);
  }

  /** Whether no export has been under way for `ms` without any having ended. */
  movesWithin(ms: number): boolean {
    return this.#running() === 0 || this.#options.context.now() - this.#movedMs < ms;
  }

  /** Whether it reads or exports. */
  get isBusy(): boolean {
    return this.#reading || this.#running() > 0;
  }

  get isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  get oldestMs(): number {
    return this.#groups[0]?.sinceMs ?? this.#unreadSinceMs;
  }

  /** Takes over what is on disk now. What lies before `passed` is being exported already. */
  written(frames: readonly Committed[], passed: Position | undefined): void {
    const { reader, sender } = this.#options;
    if (passed !== undefined) reader.position = passed;
    if (frames[0] !== undefined) {
      reader.committed(frames, sender.failing);
      this.#unreadSinceMs = Math.min(this.#unreadSinceMs, frames[0].sinceMs);
    }
    this.#advance();
    this.schedule();
  }

  /** Starts as many exports as may run. */
  schedule(): void {
    this.#isAsked = true;
    void this.#deliver();
  }

  /** Ends what is under way; the frames stay on disk. */
  stop(reason: unknown): void {
    clearTimeout(this.#timer);
    this.#stop.abort(reason);
  }

  /** Resolves after the next export, or a moment. */
  pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 20);
      this.#wake.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /**
   * Gives up the frames of a file that are under way, and stands still until `resume`. False: the queue was stopped
   * meanwhile.
   */
  async withdraw(segment: number): Promise<boolean> {
    this.#withdrawing = true;
    for (;;) {
      // What is being read just now goes out yet.
      const rest = this.#groups.filter((group) => group.segment <= segment);
      for (const { state, abort } of rest) if (state === 'sending') abort.abort('dropped');
      if (!this.#reading && rest.length === 0) return true;
      if (this.isStopped) return false;
      await this.pause();
    }
  }

  resume(): void {
    const { frontier, reader } = this.#options;
    const next = this.#groups.find(({ end }) => end !== undefined);
    if (next === undefined) frontier.position = reader.position;
    else if (next.segment > frontier.position.segment) {
      // Nothing of its file comes before it, or the frontier would be there already.
      frontier.position = { segment: next.segment, offset: 0 };
    }
    this.#withdrawing = false;
    this.schedule();
  }

  async #deliver(): Promise<void> {
    if (this.#reading || this.#withdrawing) return;
    const { settings, context } = this.#options;
    this.#reading = true;
    this.#isAsked = false;
    try {
      while (this.#running() < settings.concurrency && !this.isStopped && !this.#withdrawing) {
        const group = await this.#nextGroup();
        if (group === undefined) break;
        if (this.#running() === 0) this.#movedMs = context.now();
        this.#groups.push(group);
        void this.#export(group);
      }
      if (this.#readFails) context.log.info('the disk queue can be read again');
      this.#readFails = false;
    } catch (error) {
      if (!this.#readFails) {
        context.log.error(`cannot read the disk queue, trying again: ${errorChain(error)}`);
      }
      this.#readFails = true;
      this.#later(retryAfterMs);
    } finally {
      this.#reading = false;
    }
    if (this.#isAsked) this.schedule();
  }

  #later(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.schedule();
    }, ms);
  }

  #running(): number {
    return this.#groups.filter(({ state }) => state === 'sending').length;
  }

  /** The frames that go out next; undefined: none, or too few yet. */
  async #nextGroup(): Promise<Group | undefined> {
    const { reader, frontier, settings, context } = this.#options;
    const { min_size, flush_timeout } = settings.batch;
    const intake = this.#options.intake();
    const unread = reader.unreadBytes;
    const waiting = unread + intake.readyBytes;
    const sinceMs = unread > 0 ? this.#unreadSinceMs : intake.waitingSinceMs;
    const waitedMs = context.now() - sinceMs;
    if (waiting === 0) return undefined;
    // While nothing is under way nothing is gained by waiting for company.
    const gathers = this.#running() > 0 && !this.hurry;
    if (gathers && waiting < min_size && waitedMs < flush_timeout) {
      this.#later(Math.max(1, flush_timeout - waitedMs));
      return undefined;
    }
    if (unread === 0) return takeGroup(intake, settings.batch, context.now());
    const group = await readGroup(reader, settings.batch, context.now());
    // What was read before a failure goes out first; the same place is read again afterwards.
    if (group.failed) this.#later(retryAfterMs);
    this.#unreadSinceMs = reader.unreadBytes === 0 ? Number.POSITIVE_INFINITY : context.now();
    if (group.frames.length > 0) return group;
    // Nothing but damage: it need not be looked at again.
    if (this.#groups.length === 0) frontier.position = reader.position;
    return undefined;
  }

  async #export(group: Group): Promise<void> {
    const { sender, dropped, onRoom, context } = this.#options;
    const { signal } = this.#stop;
    const stop = (): void => group.abort.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    let outcome: Outcome = 'delivered';
    const { whole, made } = grouped(group.frames.map(({ batch }) => batch));
    try {
      for (const batch of whole) await sender.send(batch, group.abort.signal);
      for (const batch of made) batch.release();
    } catch {
      // The sender gives up only when it is told to: the process stops, or the oldest file is dropped.
      outcome = signal.aborted ? 'kept' : 'dropped';
      if (outcome === 'dropped') dropped(group.records);
    }
    group.state = outcome === 'kept' ? 'kept' : 'done';
    signal.removeEventListener('abort', stop);
    this.#movedMs = context.now();
    for (const { done } of group.frames.splice(0)) done(outcome);
    this.#advance();
    for (const wake of this.#wake.splice(0)) wake();
    onRoom();
    this.schedule();
  }

  /** Moves the frontier over the groups that are delivered, in order. Where one that is being written ends is not known yet. */
  #advance(): void {
    const { frontier, onRoom } = this.#options;
    let moved = false;
    for (
      let group = this.#groups[0];
      group?.state === 'done' && group.writing === 0;
      group = this.#groups[0]
    ) {
      this.#groups.shift();
      if (group.end === undefined) continue;
      frontier.position = group.end;
      moved = true;
    }
    if (moved) frontier.moved(onRoom);
  }
}
