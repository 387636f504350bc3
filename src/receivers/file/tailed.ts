// One generation of a file: from its first byte until it is truncated or gone. What is known of it, and how far it has
// been read and acknowledged.

import { dirname } from 'node:path';
import type { ContainerLines } from '../../encoding/container_lines.ts';
import type { Attributes } from '../../pipeline/record.ts';
import type { Checkpoint } from './checkpoints.ts';
import type { GzipSource } from './gzip_source.ts';
import { type Fingerprint, noFingerprint } from './identity.ts';

/**
 * `live`: its path leads to it. `gone`: no path that we look at leads to it any more, but it is open and read to its
 * end. `lost`: not open; remembered so that it is known again, and so that a copy of it is.
 */
export type State = 'live' | 'gone' | 'lost';

/** A piece of the file on its way: acknowledged when `done`, and then everything before `commit` is. */
export type Flight = {
  readonly commit: number;
  readonly tail: Uint8Array;
  readonly skipping: boolean;
  done: boolean;
};

const nothing = new Uint8Array(0);

export class Tailed {
  readonly key: number;
  id = '';
  path: string;
  folder: string;
  dev: bigint;
  ino: bigint;
  generation = 0;
  state: State = 'live';
  fd: number | undefined;
  gzip: GzipSource | undefined;
  compressed = false;
  fingerprint: Fingerprint = noFingerprint;

  /** Where the next line begins, and the bytes before it. */
  position = 0;
  tail: Uint8Array = nothing;
  /** At `position` the rest of a line that is not wanted. */
  skipping = false;
  /** The bytes from here on may be a hole that a truncation has left. */
  mayBeHole = false;
  /** How far the file has been looked at without finding the end of its last line. */
  seenBytes = 0;
  /** Bytes that the last line needs at least, when it was longer than a chunk. */
  wantBytes = 0;
  readonly flights: Flight[] = [];
  inFlight = 0;

  /** Everything before it is acknowledged. */
  acknowledged = 0;
  acknowledgedTail: Uint8Array = nothing;
  acknowledgedSkipping = false;

  /** As of the last look. */
  size = 0;
  mtimeNs = 0n;
  changedMs = 0;
  lookAtMs = 0;
  goneMs = 0;
  /** Being read: nobody else may close or replace it. */
  reading = false;
  /** Nothing more will come: the unfinished last line counts as one. */
  last = false;
  /** Read to its end, and gone. */
  finished = false;
  /** Its inode has begun anew: only a copy can continue it. */
  emptied = false;
  seenMs = 0;
  /** When it was last certain to be what it had been. */
  readMs = 0;
  /** When it was seen at its path last. */
  lookedMs = 0;

  /** Facts for its batches, made when first needed. */
  facts: { attributes: Attributes; resource: Attributes } | undefined;
  container: ContainerLines | undefined;

  constructor(key: number, path: string, inode: { dev: bigint; ino: bigint }) {
    this.key = key;
    this.path = path;
    this.folder = dirname(path);
    this.dev = inode.dev;
    this.ino = inode.ino;
  }

  static restore(point: Checkpoint): Tailed {
    const file = new Tailed(point.key, point.path, point);
    file.id = point.id;
    file.generation = point.generation;
    file.fingerprint = { bytes: point.fingerprintBytes, hash: point.fingerprint };
    file.startAt(point.offset, point.tail, point.skipping);
    file.compressed = point.compressed;
    file.finished = point.finished;
    file.emptied = point.emptied;
    file.seenMs = point.seenMs;
    file.readMs = point.seenMs;
    file.state = 'lost';
    return file;
  }

  get inode(): string {
    return inodeKey(this.dev, this.ino);
  }

  /** Bytes that are not yet acknowledged. */
  get lagBytes(): number {
    return this.compressed ? 0 : Math.max(0, this.size - this.acknowledged);
  }

  /** Begins reading at `position`, before which everything counts as acknowledged. */
  startAt(position: number, tail: Uint8Array, skipping = false): void {
    this.position = position;
    this.tail = tail;
    this.skipping = skipping;
    this.acknowledged = position;
    this.acknowledgedTail = tail;
    this.acknowledgedSkipping = skipping;
    this.seenBytes = position;
  }

  /** Advances the acknowledged place over everything that is done without a gap. True when it moved. */
  settle(): boolean {
    let moved = false;
    for (let first = this.flights[0]; first?.done === true; first = this.flights[0]) {
      this.flights.shift();
      this.acknowledged = first.commit;
      this.acknowledgedTail = first.tail;
      this.acknowledgedSkipping = first.skipping;
      moved = true;
    }
    return moved;
  }

  checkpoint(): Checkpoint {
    return {
      key: this.key,
      id: this.id,
      path: this.path,
      dev: this.dev,
      ino: this.ino,
      generation: this.generation,
      offset: this.acknowledged,
      tail: this.acknowledgedTail,
      fingerprintBytes: this.fingerprint.bytes,
      fingerprint: this.fingerprint.hash,
      skipping: this.acknowledgedSkipping,
      compressed: this.compressed,
      finished: this.finished,
      emptied: this.emptied,
      seenMs: this.seenMs,
    };
  }
}

export const inodeKey = (dev: bigint, ino: bigint): string => `${dev}:${ino}`;
