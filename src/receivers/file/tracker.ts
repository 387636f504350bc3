// Looks at the files again and again: what has grown, moved, been emptied or gone. Looking is the truth; notifications
// only make it sooner.

import { type BigIntStats, fstatSync, readSync, statSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Context } from '../../pipeline/component.ts';
import type { Admission } from './admission.ts';
import { madeBetween } from './between.ts';
import type { Counters } from './counters.ts';
import type { Discovery } from './discovery.ts';
import type { Handles } from './handles.ts';
import type { Hints } from './hints.ts';
import type { Known } from './known.ts';
import type { Pump } from './pump.ts';
import type { Recovery } from './recovery.ts';
import type { Settings } from './settings.ts';
import type { Tailed } from './tailed.ts';
import type { Troubles } from './troubles.ts';

/** A file that has changed lately is looked at every time. */
const hotMs = 2000;
/** Of the others so many each time. */
const idleLooksPerPoll = 1000;
/** Looking for new files takes at most this part of the time. */
const discoveryPart = 20;
const admissionsPerTurn = 100;

export type TrackerOptions = {
  readonly settings: Settings;
  readonly context: Context;
  readonly counters: Counters;
  readonly known: Known;
  readonly handles: Handles;
  readonly troubles: Troubles;
  readonly discovery: Discovery;
  readonly admission: Admission;
  readonly recovery: Recovery;
  readonly hints: Hints;
};

export class Tracker {
  readonly #options: TrackerOptions;
  readonly #pump: Pump;
  #discoverAtMs = 0;
  #watchAtMs = 0;
  #busy: Promise<void> = Promise.resolve();

  constructor(options: TrackerOptions, pump: Pump) {
    this.#options = options;
    this.#pump = pump;
  }

  /** One look at everything that is due. */
  poll(): Promise<void> {
    return this.#alone(() => this.#poll());
  }

  /** The file was emptied, as reading has found: it does not continue what was read of it. */
  truncated(file: Tailed): Promise<void> {
    return this.#alone(() => this.#beginAnew(file, Number(fstatSync(file.fd ?? -1).size)));
  }

  /** One at a time: two that look for the same copy would both find it. */
  #alone(work: () => Promise<void>): Promise<void> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => undefined);
    return done;
  }

  async #poll(): Promise<void> {
    const { known, context, hints, admission } = this.#options;
    const nowMs = context.now();
    const changed = hints.takeChanged();
    if (changed.size > 0) this.#discoverAtMs = 0;
    for (const file of [...known.live.values()]) {
      const due = file.lookAtMs <= nowMs || (changed.size > 0 && changed.has(file.folder));
      if (due && !file.reading) await this.#look(file, nowMs);
    }
    for (const file of [...known.gone]) if (!file.reading) await this.#lookAtGone(file, nowMs);
    if (nowMs >= this.#watchAtMs) this.#watch(nowMs);
    if (nowMs >= this.#discoverAtMs) await this.#discover();
    if (admission.heldCount > 0) await admission.lookAtHeld();
  }

  /** Lets the system tell of changes in folders where nothing has happened for a while. */
  #watch(nowMs: number): void {
    const quiet = new Set<string>(this.#options.discovery.bases);
    const { live } = this.#options.known;
    for (const file of live.values()) quiet.add(file.folder);
    for (const file of live.values()) if (nowMs - file.changedMs < hotMs) quiet.delete(file.folder);
    this.#options.hints.watch(quiet);
    this.#watchAtMs = nowMs + hotMs;
  }

  /** All paths that match and are not followed yet. */
  async #discover(): Promise<void> {
    const { known, discovery, admission, context, troubles } = this.#options;
    const startMs = performance.now();
    let turns = 0;
    for (const path of await discovery.scan()) {
      if (known.live.has(path)) continue;
      if (++turns % admissionsPerTurn === 0) await nextTurn();
      try {
        const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
        if (stats === undefined) admission.forget(path);
        else await admission.admit(path, stats);
      } catch (error) {
        if (!troubles.waiting(path)) troubles.report(path, error);
      }
    }
    this.#discoverAtMs = context.now() + discoveryPart * (performance.now() - startMs);
  }

  async #look(file: Tailed, nowMs: number): Promise<void> {
    const { troubles, admission } = this.#options;
    if (troubles.waiting(file.path)) return;
    let stats: BigIntStats | undefined;
    try {
      stats = statSync(file.path, { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      return troubles.report(file.path, error);
    }
    troubles.clear(file.path);
    if (stats === undefined || stats.ino !== file.ino || stats.dev !== file.dev) {
      const { path, lookedMs } = file;
      await this.#leave(file, nowMs);
      if (stats === undefined) return;
      if (lookedMs > 0) await this.#catchUp(path, lookedMs);
      const { live } = this.#options.known;
      if (!live.has(path)) await admission.admit(path, stats);
      const next = live.get(path);
      if (next !== undefined) next.lookedMs = nowMs;
      return;
    }
    file.lookedMs = nowMs;
    await this.#compare(file, stats, nowMs);
    if (file.state === 'live') this.#idle(file, nowMs);
  }

  /** What has changed since the last look. */
  async #compare(file: Tailed, stats: BigIntStats, nowMs: number): Promise<void> {
    const size = Number(stats.size);
    const changed = size !== file.size || stats.mtimeNs !== file.mtimeNs;
    if (changed) {
      file.changedMs = nowMs;
      file.mtimeNs = stats.mtimeNs;
      file.last = false;
    }
    if (file.compressed) {
      if (changed && size !== file.size) file.finished = false;
      file.size = size;
      if (changed && !file.finished) this.#pump.ready(file);
      return;
    }
    const least = Math.max(file.position, file.fingerprint.bytes);
    if (size < least || (changed && size === file.position && !tailHolds(file))) {
      return this.#beginAnew(file, size);
    }
    file.size = size;
    if (size > file.seenBytes && !this.#pump.isFailing(file)) this.#pump.ready(file);
  }

  /** When to look again, and what has been unfinished for too long. */
  #idle(file: Tailed, nowMs: number): void {
    const { settings, known, context } = this.#options;
    const idleMs = nowMs - file.changedMs;
    this.#pump.flush(file, false);
    const { force_flush_period } = settings;
    const unfinished = file.position < file.size && file.seenBytes >= file.size;
    if (force_flush_period > 0 && unfinished && idleMs >= force_flush_period && !file.compressed) {
      file.last = true;
      this.#pump.ready(file);
    }
    if (idleMs < hotMs) return;
    const polls = Math.floor(known.live.size / idleLooksPerPoll);
    if (polls === 0) return;
    file.lookAtMs = nowMs + polls * settings.poll_interval * (0.5 + context.random());
  }

  /** The path leads somewhere else, or nowhere. */
  async #leave(file: Tailed, nowMs: number): Promise<void> {
    const { known, counters, recovery } = this.#options;
    counters.rotations.add(1);
    if (file.fd !== undefined) {
      known.leave(file, nowMs);
      if (!file.finished) this.#pump.ready(file);
      return;
    }
    this.#pump.flush(file, true);
    known.lose(file, nowMs);
    if (file.finished) return;
    const missing = await recovery.find([file]);
    if (file.size > file.position) this.#report(missing);
  }

  /** Files that had the path since it was looked at last, and have been moved away already: they are read to their ends. */
  async #catchUp(path: string, sinceMs: number): Promise<void> {
    const { known, admission, discovery, context } = this.#options;
    for (const between of madeBetween(path, sinceMs)) {
      const { dev, ino } = between.stats;
      const isKnown = known.followed(dev, ino) !== undefined;
      if (isKnown || discovery.excludes(between.path)) continue;
      await admission.admit(between.path, between.stats);
      const file = known.followed(dev, ino);
      if (file?.state === 'live' && file.path === between.path) known.leave(file, context.now());
    }
  }

  async #lookAtGone(file: Tailed, nowMs: number): Promise<void> {
    const { settings } = this.#options;
    const { changedMs } = file;
    try {
      await this.#compare(file, fstatSync(file.fd ?? -1, { bigint: true }), nowMs);
    } catch (error) {
      // The file system itself has let go of it (ESTALE).
      this.#options.troubles.report(file.path, error);
      this.#options.troubles.forget(file.path);
      return this.#finish(file, nowMs);
    }
    if (file.state !== 'gone' || file.changedMs !== changedMs || this.#pump.isReady(file)) return;
    if (nowMs - Math.max(file.goneMs, changedMs) < settings.rotate_wait) return;
    if (file.compressed ? !file.finished && file.inFlight > 0 : file.position < file.size) {
      // Unread, however long that takes.
      file.last = true;
      if (!this.#pump.isFailing(file)) this.#pump.ready(file);
    } else this.#finish(file, nowMs);
  }

  /** Read to its end, and nobody has written to it for a while. */
  #finish(file: Tailed, nowMs: number): void {
    const { known, handles } = this.#options;
    this.#pump.flush(file, true);
    handles.close(file);
    file.finished = true;
    known.lose(file, nowMs);
  }

  /** A new generation of a file that was emptied. What was unread of the old one may stand in a copy. */
  async #beginAnew(file: Tailed, size: number): Promise<void> {
    const { known, counters, handles, context, recovery } = this.#options;
    const { path, state } = file;
    counters.truncations.add(1);
    this.#pump.flush(file, true);
    const fresh = known.create(path, file);
    fresh.generation = file.generation + 1;
    fresh.mayBeHole = true;
    fresh.compressed = file.compressed;
    fresh.changedMs = context.now();
    fresh.size = size;
    known.lose(file, context.now());
    known.setEmptied(file);
    handles.pass(file, fresh);
    if (state === 'gone') known.leave(fresh, context.now());
    else known.follow(fresh, path);
    this.#pump.ready(fresh);
    this.#discoverAtMs = 0;
    const missing = await recovery.find([file]);
    if (file.size > file.position) this.#report(missing);
  }

  /** Files that were there when the process ended and are not at their paths now. */
  async recover(): Promise<void> {
    const { known, recovery } = this.#options;
    this.#report(await recovery.find([...known.lost].filter(({ finished }) => !finished)));
  }

  #report(missing: readonly Tailed[]): void {
    const { context, counters, known } = this.#options;
    for (const file of missing) {
      counters.unreadBytes.add(Math.max(0, file.size - file.position));
      file.finished = true;
      known.dirty.add(file);
    }
    const [first] = missing;
    if (first === undefined) return;
    const others = missing.length > 1 ? ` and ${missing.length - 1} more` : '';
    context.log.warn(
      `${first.path}${others}: gone or emptied before the end was seen; what was written after byte ${first.position} could not be read`,
    );
  }
}

/** Whether the bytes before the place of reading are still what they were. */
function tailHolds(file: Tailed): boolean {
  if (file.fd === undefined || file.tail.length === 0) return true;
  const { length } = file.tail;
  const found = Buffer.allocUnsafe(length);
  const count = readSync(file.fd, found, 0, length, file.position - length);
  return count === length && found.equals(file.tail);
}
