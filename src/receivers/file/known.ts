// The files that are followed or remembered, found by inode, by path and by how they begin.

import { dirname } from 'node:path';
import { type Fingerprint, fingerprintOf } from './identity.ts';
import { inodeKey, Tailed } from './tailed.ts';

/** Generations that are remembered after they are gone, and for how long. */
const rememberedMax = 20_000;
const rememberMs = 24 * 3_600_000;

export class Known {
  /** Paths that are followed. */
  readonly live = new Map<string, Tailed>();
  readonly gone = new Set<Tailed>();
  /** Oldest first. */
  readonly lost = new Set<Tailed>();
  /** Changed since the last checkpoint, and keys whose checkpoint is to be removed. */
  readonly dirty = new Set<Tailed>();
  readonly removed: number[] = [];
  /** Live ones by folder. */
  readonly #folders = new Map<string, Set<Tailed>>();
  /** Live and gone files, by inode. */
  readonly #followed = new Map<string, Tailed>();
  /** Lost ones, by inode. */
  readonly #remembered = new Map<string, Set<Tailed>>();
  /** All, by fingerprint; and how many have one of each length. */
  readonly #alike = new Map<string, Set<Tailed>>();
  readonly #lengths = new Map<number, number>();
  #lastKey = 0;

  /** A new generation, not yet in any state. */
  create(path: string, inode: { dev: bigint; ino: bigint }): Tailed {
    return new Tailed(++this.#lastKey, path, inode);
  }

  restore(file: Tailed): void {
    this.#lastKey = Math.max(this.#lastKey, file.key);
    this.#remember(file);
    this.#index(file, file.fingerprint);
  }

  followed(dev: bigint, ino: bigint): Tailed | undefined {
    return this.#followed.get(inodeKey(dev, ino));
  }

  /** Lost generations of an inode, the latest first. */
  remembered(dev: bigint, ino: bigint): Tailed[] {
    return [...(this.#remembered.get(inodeKey(dev, ino)) ?? [])].reverse();
  }

  /** Files, followed or lost, that began as `head` does. */
  alike(head: Uint8Array): Tailed[] {
    const found: Tailed[] = [];
    for (const bytes of this.#lengths.keys()) {
      if (bytes > head.length) continue;
      found.push(...(this.#alike.get(keyOf(fingerprintOf(head.subarray(0, bytes)))) ?? []));
    }
    return found.sort((a, b) => b.key - a.key);
  }

  /** Files that are followed in a folder. */
  inFolder(folder: string): Iterable<Tailed> {
    return this.#folders.get(folder) ?? [];
  }

  /** Follows a file under a path; whatever was followed there is to have been moved away. */
  follow(file: Tailed, path: string): void {
    this.#forgetPlace(file);
    file.path = path;
    file.folder = dirname(path);
    add(this.#folders, file.folder, file);
    file.facts = undefined;
    file.state = 'live';
    file.last = false;
    this.live.set(path, file);
    this.#followed.set(file.inode, file);
    this.dirty.add(file);
  }

  /** No path leads to the file any more; it stays open until it is read. */
  leave(file: Tailed, nowMs: number): void {
    this.#forgetPlace(file);
    file.state = 'gone';
    file.goneMs = nowMs;
    this.gone.add(file);
    this.#followed.set(file.inode, file);
    this.dirty.add(file);
  }

  /** The file is not followed any more. What is in flight is still acknowledged. */
  lose(file: Tailed, nowMs: number): void {
    this.#forgetPlace(file);
    file.state = 'lost';
    file.seenMs = nowMs;
    this.#remember(file);
    this.dirty.add(file);
  }

  setEmptied(file: Tailed): void {
    file.emptied = true;
    this.dirty.add(file);
  }

  setFingerprint(file: Tailed, fingerprint: Fingerprint): void {
    this.#unindex(file);
    file.fingerprint = fingerprint;
    this.#index(file, fingerprint);
    this.dirty.add(file);
  }

  /** Moves a generation to another inode: its copy. */
  moveTo(file: Tailed, inode: { dev: bigint; ino: bigint }): void {
    this.#forgetPlace(file);
    file.emptied &&= file.dev === inode.dev && file.ino === inode.ino;
    file.dev = inode.dev;
    file.ino = inode.ino;
  }

  /** Forgets what was lost too long ago. */
  expire(nowMs: number): void {
    for (const file of this.lost) {
      const old = nowMs - file.seenMs > rememberMs || this.lost.size > rememberedMax;
      if (!old || file.inFlight > 0) continue;
      this.#forgetPlace(file);
      this.#unindex(file);
      this.dirty.delete(file);
      this.removed.push(file.key);
    }
  }

  #remember(file: Tailed): void {
    this.lost.add(file);
    add(this.#remembered, file.inode, file);
  }

  /** Takes a file out of wherever it is. */
  #forgetPlace(file: Tailed): void {
    const { inode } = file;
    if (this.live.get(file.path) === file) this.live.delete(file.path);
    remove(this.#folders, file.folder, file);
    this.gone.delete(file);
    if (this.#followed.get(inode) === file) this.#followed.delete(inode);
    if (!this.lost.delete(file)) return;
    remove(this.#remembered, inode, file);
  }

  #index(file: Tailed, fingerprint: Fingerprint): void {
    const { bytes } = fingerprint;
    if (bytes === 0) return;
    this.#lengths.set(bytes, (this.#lengths.get(bytes) ?? 0) + 1);
    add(this.#alike, keyOf(fingerprint), file);
  }

  #unindex(file: Tailed): void {
    const { bytes } = file.fingerprint;
    if (bytes === 0) return;
    const count = (this.#lengths.get(bytes) ?? 1) - 1;
    if (count === 0) this.#lengths.delete(bytes);
    else this.#lengths.set(bytes, count);
    remove(this.#alike, keyOf(file.fingerprint), file);
  }
}

const keyOf = ({ bytes, hash }: Fingerprint): string => `${bytes}:${hash}`;

function add(groups: Map<string, Set<Tailed>>, key: string, file: Tailed): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, new Set([file]));
  else group.add(file);
}

function remove(groups: Map<string, Set<Tailed>>, key: string, file: Tailed): void {
  const group = groups.get(key);
  group?.delete(file);
  if (group?.size === 0) groups.delete(key);
}
