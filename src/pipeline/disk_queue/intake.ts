// From puts to disk. A batch that is delivered within `persist_after` need not go there: its source waits for as long,
// and learns of the delivery. What takes longer is written together and forced to disk once (group commit), as far as
// there is room, while its export goes on.

import type { Counter } from '../../telemetry/metrics.ts';
import type { Batch } from '../batch.ts';
import type { Context } from '../component.ts';
import { errorChain, RefusedError } from '../errors.ts';
import type { QueueSettings } from '../queue.ts';
import type { Group } from './group.ts';
import {
  type Committed,
  type Framed,
  forgetFrame,
  frame,
  frameBytes,
  type Outcome,
  type Put,
  Puts,
} from './puts.ts';
import type { Segments } from './segments.ts';
import type { Position } from './state.ts';

/** Bytes that one commit takes together at the most. */
const commitBytesMax = 2 << 20;
const retryAfterMs = 500;
/** How often a full queue looks whether there is room again, if nobody tells it. */
const lookAgainMs = 100;
/** So often something is written although it could wait: a volume that fails is named before it is needed. */
const trialMs = 2000;
/** While nothing else is under way batches are written at once, up to so many bytes in a millisecond: it costs little. */
const quietBytesPerMs = 1024;

const unwritable =
  'cannot write the disk queue, sources wait for what is in it, then for each export';
const silent = 'the volume of the disk queue does not answer, its sources wait';
const hangsMs = 2000;

export type IntakeOptions = {
  readonly segments: Segments;
  readonly settings: QueueSettings;
  readonly segmentBytes: number;
  readonly context: Context;
  /** Whether everything on disk is delivered. */
  readonly isIdle: () => boolean;
  /** Whether exports end soon, and nothing has to be read back from disk before what comes now. */
  readonly keepsUp: () => boolean;
  /** Gives space back as `when_full` allows; false: there is none to give now. */
  readonly makeRoom: () => Promise<boolean>;
  /** There is something to export that is not on disk. */
  readonly onPut: () => void;
  /** After each attempt. What was being exported already lies before `passed`, and `frames` behind it. */
  readonly onWritten: (frames: readonly Committed[], passed: Position | undefined) => void;
  /** Counts records that are turned away. */
  readonly dropped: (records: number) => void;
  /** Whether somebody else takes batches that cannot be written now: their puts reject with UnwritableError. */
  readonly mayPassOn: () => boolean;
};

/** The volume does not let the batch be written. */
export class UnwritableError extends Error {
  override readonly name = 'UnwritableError';
}

/** What one commit has taken so far, and what it may take. */
type Room = { readonly group: Framed[]; bytes: number; free: number };

export class Intake {
  readonly #options: IntakeOptions;
  readonly #commits: Counter;
  readonly #puts = new Puts();
  /** Puts up to this number are to be written now. */
  #dueTo = 0;
  #running: Promise<void> | undefined;
  /** What is being written at the moment. */
  #writing: readonly Framed[] = [];
  #failing = false;
  #tryAgainMs = 0;
  #trialFromMs = 0;
  #quietFromMs = 0;
  #hurry = false;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
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

  /** Bytes that are not on disk. */
  get bytes(): number {
    return this.#puts.bytes;
  }

  /** Bytes that an export may take before they are on disk; never while what lies before them is being written. */
  get readyBytes(): number {
    return this.#writing.length > 0 ? 0 : this.#puts.waitingBytes;
  }

  /** Since when the first one waits that no export has; Infinity: there is none. */
  get waitingSinceMs(): number {
    return this.#puts.waiting?.sinceMs ?? Number.POSITIVE_INFINITY;
  }

  /** The bytes of the one that `take` gives. */
  get nextBytes(): number {
    return this.#puts.waiting?.batch.length ?? 0;
  }

  /** Hands the next one to an export. Whoever takes it says `done`. */
  take(group: Group): Put | undefined {
    return this.#puts.take(group);
  }

  /** The export has ended. */
  done(put: Put, outcome: Outcome): void {
    put.outcome = outcome;
    if (put.told !== 'untold') {
      if (outcome === 'delivered') put.batch.letGo();
      else if (put.told === 'turned_away') this.#options.dropped(put.records);
      return;
    }
    // Nobody has been promised anything: `end` says so.
    if (outcome === 'kept') return;
    // An export that was told to end may still look at it: its memory is the garbage collector's.
    if (outcome === 'dropped') put.batch.retain();
    this.#puts.leave(put);
    if (!this.#writing.some((one) => one === put)) forgetFrame(put);
    put.resolve();
  }

  /** Resolves once the batch is delivered or on disk, or dropped as `when_full` says. */
  put(batch: Batch): Promise<void> {
    const sinceMs = this.#options.context.now();
    if (this.#failing && sinceMs < this.#tryAgainMs && this.#isPassing()) {
      return Promise.reject(new UnwritableError('the volume cannot be written'));
    }
    return new Promise((resolve, reject) => {
      const put = this.#puts.add({ batch, sinceMs, resolve, reject });
      if (this.#mayWait(sinceMs)) {
        this.#arm(this.#options.settings.persist_after);
        this.#options.onPut();
      } else {
        this.#writeUpTo(put.number);
      }
    });
  }

  /** There may be room again. */
  wake(): void {
    this.#wake();
  }

  /** From now on everything is written at once. */
  hurry(): void {
    this.#hurry = true;
    this.#writeUpTo(this.#puts.last);
  }

  /** Refuses what nobody knows to be on disk. Returns its records. */
  async end(): Promise<number> {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#wake();
    // A disk that does not answer must not hold up the end.
    await Promise.race([this.#running, new Promise((done) => setTimeout(done, 1000).unref())]);
    const unanswered = this.#writing.filter(({ group }) => group === undefined);
    const rest = [...unanswered, ...this.#puts.drain()];
    for (const put of rest) {
      if (put.group !== undefined) put.batch.retain();
      const why = `exporter ${this.#options.context.id} stopped before it was on disk`;
      put.reject(new RefusedError(why, { retryable: true }));
    }
    return rest.reduce((sum, put) => sum + put.records, 0);
  }

  #mayWait(nowMs: number): boolean {
    const { settings, keepsUp, isIdle } = this.#options;
    if (settings.persist_after === 0 || this.#hurry || this.#failing || !keepsUp()) return false;
    const isQuiet = this.#puts.count === 1 && isIdle();
    if (nowMs < (isQuiet ? this.#quietFromMs : this.#trialFromMs)) return true;
    this.#trialFromMs = nowMs + trialMs;
    return false;
  }

  #arm(ms: number): void {
    if (this.#ended) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writeOld();
    }, ms);
  }

  /** Has what waited for too long written, and what will soon have: fewer and larger commits. */
  #writeOld(): void {
    const { settings, context } = this.#options;
    const first = this.#puts.first;
    if (first === undefined) return;
    const ageMs = context.now() - first.sinceMs;
    if (ageMs < settings.persist_after) {
      this.#arm(settings.persist_after - ageMs);
      return;
    }
    let last = first.number;
    for (const { number, sinceMs } of this.#puts.all()) {
      if (context.now() - sinceMs < settings.persist_after / 2) break;
      last = number;
    }
    this.#writeUpTo(last);
  }

  #writeUpTo(number: number): void {
    this.#dueTo = Math.max(this.#dueTo, number);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    const { makeRoom } = this.#options;
    // Puts of this turn of the event loop share the commit.
    await Promise.resolve();
    while (this.#isDue() && !this.#ended) {
      const group = this.#admitted();
      if (group.length > 0) await this.#write(group);
      else if (this.#isDue() && !(await makeRoom())) await this.#pause(lookAgainMs);
    }
    this.#running = undefined;
    if (this.#ended) return;
    if (!this.#failing) this.#writeOld();
    else if (this.#puts.first !== undefined) this.#arm(retryAfterMs);
  }

  #isDue(): boolean {
    return (this.#puts.first?.number ?? Number.POSITIVE_INFINITY) <= this.#dueTo;
  }

  /** Whether a batch that cannot be written goes another way now: never before what is on disk. */
  #isPassing(): boolean {
    return this.#puts.waiting === undefined && this.#options.mayPassOn();
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
    const { settings, segments } = this.#options;
    const room: Room = { group: [], bytes: 0, free: settings.size - segments.totalBytes };
    const due = [...this.#puts.all()].filter(({ number }) => number <= this.#dueTo);
    for (const put of due) {
      const length = frame(put);
      const verdict = this.#verdict(length, room);
      if (verdict === 'waits') break;
      if (put.group === undefined) this.#puts.shift();
      if (verdict === 'dropped') {
        this.#turnAway(put);
        continue;
      }
      room.group.push(put as Framed);
      room.bytes += length;
      room.free -= length;
    }
    return room.group;
  }

  #verdict(length: number, { group, bytes, free }: Room): 'fits' | 'waits' | 'dropped' {
    const { settings, segments, isIdle } = this.#options;
    if (group.length > 0 && bytes + length > commitBytesMax) return 'waits';
    // An empty queue takes any batch, however small the queue is.
    if (length <= free || (group.length === 0 && isIdle() && segments.totalBytes === 0)) {
      return 'fits';
    }
    return settings.when_full !== 'drop_newest' || isIdle() ? 'waits' : 'dropped';
  }

  /** For want of room. One that is on its way to the peer is not dropped for that, but nobody waits for it any more. */
  #turnAway(put: Put): void {
    forgetFrame(put);
    if (put.group === undefined) {
      this.#options.dropped(put.records);
    } else {
      this.#puts.leave(put);
      put.batch.retain();
      put.told = 'turned_away';
    }
    put.resolve();
  }

  async #write(group: readonly Framed[]): Promise<void> {
    const { segments, segmentBytes, context, onWritten } = this.#options;
    const parts = group.flatMap(({ frame }) => [frame.table, frame.bytes]);
    this.#writing = group;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#trialFromMs = context.now() + trialMs;
    this.#quietFromMs = context.now() + bytes / quietBytesPerMs;
    for (const put of group) {
      // A write that hangs goes on reading them, whatever becomes of the put.
      put.batch.retain();
      if (put.group !== undefined) put.group.writing++;
    }
    const hangs = setTimeout(() => this.#trouble(silent, `no answer for ${hangsMs} ms`), hangsMs);
    const written = segments.append(parts, segmentBytes);
    const failure = await written.then(
      () => undefined,
      (error: Error) => error,
    );
    this.#writing = [];
    clearTimeout(hangs);
    context.degraded.end(silent);
    for (const { group: exported } of group) if (exported !== undefined) exported.writing--;
    if (failure !== undefined) return await this.#failed(group, failure);
    if (this.#failing) context.degraded.end(unwritable);
    this.#failing = false;
    this.#commits.add(1);
    const { segment, offset } = segments.end;
    const { frames, passed } = this.#committed(group, { segment, offset: offset - bytes });
    onWritten(frames, passed);
  }

  /** Tells the sources of what is being exported already; the others are handed on. */
  #committed(
    group: readonly Framed[],
    from: Position,
  ): { frames: Committed[]; passed: Position | undefined } {
    const frames: Committed[] = [];
    let at = from;
    let passed: Position | undefined;
    for (const put of group) {
      const { batch, records, sinceMs, resolve } = put;
      const length = frameBytes(put);
      forgetFrame(put);
      const next = { segment: at.segment, offset: at.offset + length };
      if (put.group === undefined) {
        frames.push({ batch, records, sinceMs, at, length, memoryBytes: batch.footprint, resolve });
      } else {
        this.#puts.leave(put);
        put.group.segment = Math.min(put.group.segment, at.segment);
        put.group.end = next;
        passed = next;
        if (put.outcome === 'delivered') batch.letGo();
        put.told = 'on_disk';
        resolve();
      }
      at = next;
    }
    return { frames, passed };
  }

  #trouble(what: string, why: string): void {
    // Nobody would say that it is over.
    if (!this.#ended) this.#options.context.degraded.begin(what, why);
  }

  async #failed(group: readonly Framed[], error: unknown): Promise<void> {
    const { context, isIdle, makeRoom, mayPassOn, onWritten } = this.#options;
    this.#failing = true;
    this.#tryAgainMs = context.now() + retryAfterMs;
    this.#trouble(unwritable, errorChain(error));
    for (const put of group) {
      put.batch.letGo();
      if (put.outcome !== undefined) forgetFrame(put);
    }
    this.#puts.putBack(group.filter((put) => put.group === undefined));
    onWritten([], undefined);
    // What is delivered need not stay on a full disk.
    if (isIdle() && isFull(error) && (await makeRoom())) return;
    if (!mayPassOn()) return await this.#pause(retryAfterMs);
    for (const put of this.#puts.drainWaiting()) {
      forgetFrame(put);
      put.reject(new UnwritableError('the volume cannot be written', { cause: error }));
    }
    // What is being exported is tried again later.
    this.#dueTo = 0;
  }
}

/** Whether a volume has no room left. */
const isFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
