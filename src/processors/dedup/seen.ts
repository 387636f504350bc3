// The records that went on lately, by identity, and how many like them were left out since.

import type { Batch } from '../../pipeline/batch.ts';

type Entry = {
  /** When the record went on that stands for the others. */
  sinceMs: number;
  /** Records left out before it that nobody had told of. */
  told: number;
  /** Records left out behind it, of its own batch and of later ones. */
  inBatch: number;
  pending: number;
  /** Which one it was: a batch that was refused comes again, and must not find itself a repetition. */
  observedMs: number;
  length: number;
  start: number;
  /** The call in which it was last seen. */
  call: number;
};

/** Entries looked at per batch to forget those that are over. */
const tidiedPerBatch = 100;

export class Seen {
  readonly #max: number;
  readonly #windowMs: number;
  /** The longest known first. */
  readonly #entries = new Map<number, Entry>();
  /** Rows of the batch at hand that go on. */
  readonly #passed = new Map<number, Entry>();
  #batch: Batch | undefined = undefined;
  #nowMs = 0;
  #call = 0;

  constructor(max: number, windowMs: number) {
    this.#max = max;
    this.#windowMs = windowMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  begin(batch: Batch, nowMs: number): void {
    this.#batch = batch;
    this.#nowMs = nowMs;
    this.#call++;
    this.#passed.clear();
    this.#tidy();
  }

  /** Whether a row goes on, `key` being what it says. */
  passes(row: number, key: number): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#add(row, key, 0);
    else if (this.#isItself(entry, row)) {
      entry.inBatch = 0;
      entry.call = this.#call;
      this.#passed.set(row, entry);
    } else if (!this.#isOver(entry)) {
      if (entry.call === this.#call) entry.inBatch++;
      else entry.pending++;
      return false;
    } else {
      this.#entries.delete(key);
      this.#add(row, key, entry.pending);
    }
    return true;
  }

  /** Visits the rows of the batch that go on and stand for more than themselves. */
  eachCount(visit: (row: number, count: number) => void): void {
    for (const [row, entry] of this.#passed) {
      const count = 1 + entry.told + entry.inBatch;
      if (count > 1) visit(row, count);
    }
    this.#passed.clear();
    this.#batch = undefined;
  }

  #add(row: number, key: number, told: number): void {
    const { observedMs, length, rowStart } = this.#batch!;
    const entry = {
      sinceMs: this.#nowMs,
      told,
      inBatch: 0,
      pending: 0,
      observedMs,
      length,
      start: rowStart[row]!,
      call: this.#call,
    };
    this.#entries.set(key, entry);
    this.#passed.set(row, entry);
    if (this.#entries.size > this.#max) this.#entries.delete(this.#entries.keys().next().value!);
  }

  #isItself(entry: Entry, row: number): boolean {
    const { observedMs, length, rowStart } = this.#batch!;
    const isThere = entry.start === rowStart[row] && entry.call !== this.#call;
    return isThere && entry.observedMs === observedMs && entry.length === length;
  }

  /** A clock that was set back ends windows too. */
  #isOver(entry: Entry): boolean {
    return Math.abs(this.#nowMs - entry.sinceMs) >= this.#windowMs;
  }

  /** Forgets records whose window is over. Those with something left to tell wait at the end. */
  #tidy(): void {
    let looked = 0;
    for (const [key, entry] of this.#entries) {
      if (++looked > tidiedPerBatch || !this.#isOver(entry)) return;
      this.#entries.delete(key);
      if (entry.pending > 0) this.#entries.set(key, entry);
    }
  }
}
