// Paths become files that are followed: new ones, ones that were known, and copies of known ones.

import type { BigIntStats } from 'node:fs';
import { dirname } from 'node:path';
import type { Context } from '../../pipeline/component.ts';
import {
  type Candidate,
  closeCandidate,
  copyIsLikely,
  isSame,
  openCandidate,
  statOf,
} from './candidate.ts';
import type { Handles } from './handles.ts';
import { fingerprintOf, idOf, readAt, tailBytes } from './identity.ts';
import type { Known } from './known.ts';
import { isRotatedName } from './rotated_name.ts';
import type { Settings } from './settings.ts';
import { inodeKey, type Tailed } from './tailed.ts';
import type { Troubles } from './troubles.ts';

/** So long a copy of a file waits for the original to be emptied before it counts as a file of its own. */
const copyWaitMs = 1000;
/** Where the end of a compressed file is, whose length nobody knows: nothing is ever read from there. */
const farAway = 2 ** 52;

/** A copy of a file that is still there, as copytruncate makes it. */
type Held = { original: Tailed; sinceMs: number; size: number };

export type AdmissionOptions = {
  readonly settings: Settings;
  readonly context: Context;
  readonly known: Known;
  readonly handles: Handles;
  readonly troubles: Troubles;
  /** There may be something to read in the file. */
  readonly onUnread: (file: Tailed) => void;
};

export class Admission {
  /** True until the first look at all paths is done and nothing was known before it. */
  firstLook = false;
  readonly #options: AdmissionOptions;
  readonly #held = new Map<string, Held>();
  /** Paths that are not followed while they look the same: no files, too old, not yet complete. */
  readonly #passedOver = new Map<string, string>();
  /** Where to begin in files that were there at the first look and could not be opened. */
  readonly #beginAt = new Map<string, number>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** A path that matches. `stats` is what stands there. */
  async admit(path: string, stats: BigIntStats): Promise<void> {
    const { known } = this.#options;
    const followed = known.followed(stats.dev, stats.ino);
    if (followed !== undefined) {
      // A second name of a file that still has its first: a link.
      if (followed.state === 'live' && this.#leadsTo(followed)) return;
      known.follow(followed, path);
      this.#options.onUnread(followed);
      return;
    }
    if (this.#held.has(path) || this.#options.troubles.waiting(path)) return;
    const look = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}`;
    if (this.#passedOver.get(path) === look) return;
    this.#passedOver.delete(path);
    for (const file of known.remembered(stats.dev, stats.ino)) {
      if (!file.compressed && Number(stats.size) < file.position) known.setEmptied(file);
    }
    // An empty file says nothing about which one it is.
    if (!stats.isFile() || stats.size === 0n || this.#tooOld(stats)) this.#passOver(path, look);
    else if (!(await this.#open(path, stats, false))) this.#passOver(path, look);
  }

  /** Looks whether copies have turned out to be what they are. */
  async lookAtHeld(): Promise<void> {
    const nowMs = this.#options.context.now();
    for (const [path, held] of this.#held) {
      const stats = statOf(path);
      if (stats !== undefined && this.#options.known.followed(stats.dev, stats.ino) !== undefined) {
        this.#held.delete(path);
        continue;
      }
      const size = Number(stats?.size ?? 0n);
      if (stats !== undefined && held.original.state === 'gone') continue;
      if (size > held.size && size < held.original.size) held.sinceMs = nowMs;
      held.size = size;
      const alone = nowMs - held.sinceMs >= copyWaitMs;
      if (stats !== undefined && held.original.state === 'live' && !alone) continue;
      this.#held.delete(path);
      if (stats !== undefined) await this.#open(path, stats, alone);
    }
  }

  /** The path is not there any more. */
  forget(path: string): void {
    this.#passedOver.delete(path);
    this.#options.troubles.forget(path);
  }

  /** Makes a candidate found elsewhere the continuation of `file`. Its descriptor is taken over. */
  resume(file: Tailed, candidate: Candidate): void {
    const { known, handles } = this.#options;
    known.moveTo(file, candidate);
    file.compressed = candidate.gzip !== undefined;
    file.finished &&= file.compressed;
    file.gzip = candidate.gzip;
    file.size = candidate.size;
    file.mtimeNs = candidate.mtimeNs;
    file.changedMs = this.#options.context.now();
    file.seenBytes = file.position;
    handles.adopt(file, candidate.fd);
  }

  #passOver(path: string, look: string): void {
    if (this.#passedOver.size > 100_000) this.#passedOver.clear();
    this.#passedOver.set(path, look);
  }

  #leadsTo(file: Tailed): boolean {
    const stats = statOf(file.path);
    return stats !== undefined && stats.ino === file.ino && stats.dev === file.dev;
  }

  #tooOld(stats: BigIntStats): boolean {
    const { settings, context, known } = this.#options;
    if (settings.ignore_older === undefined) return false;
    const ageMs = context.now() - Number(stats.mtimeNs / 1_000_000n);
    return ageMs > settings.ignore_older && known.remembered(stats.dev, stats.ino).length === 0;
  }

  /** False when there is nothing to follow at the path as it is now. */
  async #open(path: string, stats: BigIntStats, alone: boolean): Promise<boolean> {
    const { settings, handles, troubles } = this.#options;
    try {
      const candidate = await openCandidate(handles, path, {
        compression: settings.compression,
        headBytes: settings.fingerprint_size,
      });
      troubles.clear(path);
      if (candidate === undefined) return false;
      try {
        await this.#identify(candidate, alone);
      } catch (error) {
        closeCandidate(candidate);
        throw error;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
      const atEnd = this.firstLook && settings.start_at === 'end';
      if (atEnd) this.#beginAt.set(path, Number(stats.size));
      troubles.report(path, error);
    }
    return true;
  }

  async #identify(candidate: Candidate, alone: boolean): Promise<void> {
    const { known, settings } = this.#options;
    const { dev, ino } = candidate;
    // What is there at the first look is not a copy being made.
    const mayHold = !alone && !this.firstLook;
    const before = known.remembered(dev, ino);
    for (const file of before) {
      if (!file.emptied && (await isSame(candidate, file))) return this.#follow(file, candidate);
    }
    for (const file of known.alike(candidate.head)) {
      if (file.inode === inodeKey(dev, ino) || file.position === 0) continue;
      if (!copyIsLikely(candidate, file)) continue;
      if (file.state === 'lost') {
        if (await isSame(candidate, file)) return this.#follow(file, candidate);
      } else if (mayHold && (await mayBeCopy(candidate, file))) return this.#hold(candidate, file);
    }
    if (mayHold && candidate.head.length < settings.fingerprint_size) {
      const original = await this.#copiedNow(candidate);
      if (original !== undefined) return this.#hold(candidate, original);
    }
    await this.#begin(candidate, before);
  }

  #hold(candidate: Candidate, original: Tailed): void {
    const sinceMs = this.#options.context.now();
    this.#held.set(candidate.path, { original, sinceMs, size: candidate.size });
    closeCandidate(candidate);
  }

  /** A file of a similar name that the candidate, so short as it still is, may just be being copied from. */
  async #copiedNow(candidate: Candidate): Promise<Tailed | undefined> {
    for (const file of this.#options.known.inFolder(dirname(candidate.path))) {
      if (file.fd === undefined || file.position <= candidate.size) continue;
      if (!isRotatedName(candidate.path, file.path)) continue;
      const start = await readAt({ fd: file.fd, gzip: file.gzip }, candidate.head.length, 0);
      if (start.equals(candidate.head)) return file;
    }
    return undefined;
  }

  #follow(file: Tailed, candidate: Candidate): void {
    this.resume(file, candidate);
    this.#options.known.follow(file, candidate.path);
    if (!file.finished) this.#options.onUnread(file);
  }

  /** A file that is not known. */
  async #begin(candidate: Candidate, before: readonly Tailed[]): Promise<void> {
    const { known, settings } = this.#options;
    const { path, size, head } = candidate;
    const file = known.create(path, candidate);
    file.generation = before.reduce((most, { generation }) => Math.max(most, generation + 1), 0);
    file.mayBeHole = before.length > 0;
    const atEnd = this.firstLook && settings.start_at === 'end';
    const begin = atEnd ? size : (this.#beginAt.get(path) ?? 0);
    this.#beginAt.delete(path);
    if (candidate.gzip !== undefined && atEnd) {
      file.startAt(farAway, new Uint8Array(0));
    } else if (begin > 0 && begin <= size) {
      const length = Math.min(tailBytes, begin);
      file.startAt(begin, await readAt(candidate, length, begin - length));
    }
    file.finished = file.position === farAway;
    if (candidate.gzip !== undefined) file.id = idOf(file, head);
    known.setFingerprint(file, fingerprintOf(head));
    this.#follow(file, candidate);
  }
}

/** Whether the candidate has, as far as it goes, the bytes of a file that is still there. */
async function mayBeCopy(candidate: Candidate, file: Tailed): Promise<boolean> {
  return candidate.size < file.position && candidate.gzip === undefined
    ? true
    : isSame(candidate, file);
}
