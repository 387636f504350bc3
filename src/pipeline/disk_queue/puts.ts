// Batches that are not on disk: in the order in which they came, those that an export has already taken before those
// that wait.

import type { Batch } from '../batch.ts';
import { buffers } from '../buffers.ts';
import { Fifo } from '../fifo.ts';
import { type Snapshot, writeSnapshot } from '../snapshot.ts';
import { headerBytes, sealFrame } from './frame.ts';
import type { Group } from './group.ts';
import type { Position } from './state.ts';

export type Put = {
  readonly number: number;
  readonly batch: Batch;
  readonly records: number;
  readonly sinceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  /** Made when it is written: puts that wait take no more memory than their receivers hold anyway. */
  frame: Snapshot | undefined;
  /** The export that has taken it. */
  group: Group | undefined;
  /**
   * Told: its source is, and the batch is retained until the export ends. on_disk: it can wait there; turned_away: there was
   * no room, it is in memory only. untold: the source waits.
   */
  told: 'untold' | 'on_disk' | 'turned_away';
  /** How the export has ended, once it has. */
  outcome: Outcome | undefined;
};

/** What became of an export. kept: it was told to end, and nobody knows. */
export type Outcome = 'delivered' | 'dropped' | 'kept';

export type Framed = Put & { frame: Snapshot };

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

export type NewPut = Pick<Put, 'batch' | 'sinceMs' | 'resolve' | 'reject'>;

export class Puts {
  readonly #waiting = new Fifo<Put>();
  readonly #underway = new Set<Put>();
  #waitingBytes = 0;
  /** The number of the last one that came. */
  last = 0;

  add({ batch, sinceMs, resolve, reject }: NewPut): Put {
    const put: Put = {
      number: ++this.last,
      batch,
      records: batch.count,
      sinceMs,
      resolve,
      reject,
      frame: undefined,
      group: undefined,
      told: 'untold',
      outcome: undefined,
    };
    this.#waiting.push(put);
    this.#waitingBytes += sizeOf(batch);
    return put;
  }

  /** Bytes of batches that no export has taken. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get bytes(): number {
    let bytes = this.#waitingBytes;
    for (const { batch } of this.#underway) bytes += sizeOf(batch);
    return bytes;
  }

  get count(): number {
    return this.#underway.size + this.#waiting.length;
  }

  /** The first that no export has taken. */
  get waiting(): Put | undefined {
    return this.#waiting.at(0);
  }

  get first(): Put | undefined {
    return this.#underway.values().next().value ?? this.#waiting.at(0);
  }

  *all(): Generator<Put, void> {
    yield* this.#underway;
    for (let index = 0; index < this.#waiting.length; index++) yield this.#waiting.at(index) as Put;
  }

  /** The first one that waits is now part of an export. */
  take(group: Group): Put | undefined {
    const put = this.shift();
    if (put === undefined) return undefined;
    put.group = group;
    this.#underway.add(put);
    return put;
  }

  /** The first one that waits leaves: it is being written, or dropped. */
  shift(): Put | undefined {
    const put = this.#waiting.shift();
    if (put !== undefined) this.#waitingBytes -= sizeOf(put.batch);
    return put;
  }

  /** They wait again, before all others. */
  putBack(puts: readonly Put[]): void {
    for (const { batch } of puts) this.#waitingBytes += sizeOf(batch);
    this.#waiting.putBack(puts);
  }

  /** One that an export has taken is on disk, or needs to go there no more. */
  leave(put: Put): void {
    this.#underway.delete(put);
  }

  /** All that no export has taken leave. */
  drainWaiting(): Put[] {
    this.#waitingBytes = 0;
    return this.#waiting.drain();
  }

  /** All leave. */
  drain(): Put[] {
    const rest = [...this.#underway, ...this.drainWaiting()];
    this.#underway.clear();
    return rest;
  }
}

/** Not every batch has source bytes. */
const sizeOf = (batch: Batch): number => Math.max(1, batch.length);

/** Makes what is to be written. Returns its bytes. */
export function frame(put: Put): number {
  if (put.frame === undefined) {
    put.frame = writeSnapshot(put.batch, headerBytes);
    sealFrame(put.frame.table, put.frame.bytes, put.records);
  }
  return frameBytes(put as Framed);
}

export const frameBytes = ({ frame }: Framed): number => frame.table.length + frame.bytes.length;

/** Gives back the memory of what was to be written. */
export function forgetFrame(put: Put): void {
  if (put.frame !== undefined) buffers.giveWhole(put.frame.table);
  put.frame = undefined;
}
