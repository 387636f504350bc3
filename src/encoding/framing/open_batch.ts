// Lines being gathered into the bytes of a batch to come. Typed arrays are read with `!` as in column.ts.

import { Batch } from '../../pipeline/batch.ts';
import { buffers, slackBytes } from '../../pipeline/buffers.ts';
import { Dictionary } from '../../pipeline/column.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';

export type LinePolicy = {
  /** A line may have so many bytes, its end not counted. */
  readonly lineBytesMax: number;
  /** What happens to a longer one: pieces as records of their own, its beginning only, or nothing. */
  readonly tooLong: 'split' | 'truncate' | 'drop';
};

/** What was unusual about the lines added since somebody last looked: cuts made, lines too long, lines empty. */
export type LineCounts = { cut: number; dropped: number; empty: number };

/** More rows than this become several batches: columns cost 9 bytes per row and field. */
export const rowsMax = 2048;

/** Smaller batches get memory of their exact size: a pooled buffer has at least 64 KiB. */
const exactBelow = 32 * 1024;

/** Bytes and row spans of one or several sources. Filled, then sealed once; then it may be opened again. */
export class OpenBatch {
  bytes: Buffer;
  at = 0;
  rows = 0;
  #starts = new Int32Array(rowsMax);
  #ends = new Int32Array(rowsMax);
  /** From row runFrom[i] on, rows have facts runs[i]. */
  readonly #runs: Attributes[] = [];
  readonly #runFrom: number[] = [];

  constructor(bytes: number) {
    this.bytes = buffers.take(bytes);
  }

  /** Starts anew with fresh memory. */
  open(bytes: number): void {
    this.bytes = buffers.take(bytes);
    this.at = 0;
    this.rows = 0;
    this.#runs.length = 0;
    this.#runFrom.length = 0;
  }

  /** Gives the memory back without making a batch of it. */
  discard(): void {
    buffers.give(this.bytes);
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.bytes.length - slackBytes - this.at;
  }

  /** Rows added from now on have these facts. */
  enter(facts: Attributes): void {
    const last = this.#runs.length - 1;
    if (last >= 0 && this.#runs[last] === facts) return;
    if (last >= 0 && this.#runFrom[last] === this.rows) {
      this.#runs[last] = facts;
      return;
    }
    this.#runs.push(facts);
    this.#runFrom.push(this.rows);
  }

  /** Copies bytes, which must fit. */
  append(source: Uint8Array, start: number, end: number): void {
    if (end <= start) return;
    const whole = start === 0 && end === source.length;
    this.bytes.set(whole ? source : source.subarray(start, end), this.at);
    this.at += end - start;
  }

  /** Adds the lines in bytes[from, at), each of which ends with a newline. */
  addLines(from: number, policy: LinePolicy, counts: LineCounts): void {
    const { bytes, at } = this;
    const { lineBytesMax } = policy;
    let start = from;
    while (start < at) {
      const newline = bytes.indexOf(10, start);
      let end = newline;
      if (end > start && bytes[end - 1] === 13) end--;
      if (end > start && end - start <= lineBytesMax) this.#addRow(start, end);
      else if (end === start) counts.empty++;
      else this.#addLong(start, end, policy, counts);
      start = newline + 1;
    }
  }

  /** Adds bytes[from, at) as one line, less the newline it may end with. */
  addLine(from: number, policy: LinePolicy, counts: LineCounts): void {
    let end = this.at;
    if (end > from && this.bytes[end - 1] === 10) end--;
    if (end > from && this.bytes[end - 1] === 13) end--;
    if (end === from) counts.empty++;
    else if (end - from <= policy.lineBytesMax) this.#addRow(from, end);
    else this.#addLong(from, end, policy, counts);
  }

  /** Adds bytes[from, at) as a row, whatever they are: a piece of a line. */
  addPiece(from: number): void {
    if (this.at > from) this.#addRow(from, this.at);
  }

  #addLong(from: number, end: number, policy: LinePolicy, counts: LineCounts): void {
    if (policy.tooLong === 'drop') {
      counts.dropped++;
      return;
    }
    let start = from;
    while (end - start > policy.lineBytesMax) {
      const cut = cutAt(this.bytes, start, policy.lineBytesMax);
      this.#addRow(start, cut);
      counts.cut++;
      if (policy.tooLong === 'truncate') return;
      start = cut;
    }
    this.#addRow(start, end);
  }

  #addRow(start: number, end: number): void {
    if (this.rows === this.#starts.length) {
      this.#starts = grown(this.#starts);
      this.#ends = grown(this.#ends);
    }
    this.#starts[this.rows] = start;
    this.#ends[this.rows++] = end;
  }

  /** Makes batches of what was gathered, in order. The memory belongs to them, or has gone back to the pool. */
  seal(observedMs: number): Batch[] {
    const batches: Batch[] = [];
    if (this.rows === 0) {
      this.discard();
      return batches;
    }
    const few = this.at * 4 < this.bytes.length;
    if (this.rows <= rowsMax && !few) batches.push(this.#batch(this.bytes, 0, this.rows, 0));
    else {
      for (let row = 0; row < this.rows; row += rowsMax) {
        batches.push(this.#copied(row, Math.min(row + rowsMax, this.rows)));
      }
      buffers.give(this.bytes);
    }
    for (const batch of batches) batch.observedMs = observedMs;
    return batches;
  }

  #copied(from: number, to: number): Batch {
    const start = this.#starts[from]!;
    // The byte after the last row is its newline, if it has one.
    const end = Math.min(this.#ends[to - 1]! + 1, this.at);
    const length = end - start;
    const bytes =
      length < exactBelow ? Buffer.allocUnsafeSlow(length + slackBytes) : buffers.take(length);
    this.bytes.copy(bytes, 0, start, end);
    return this.#batch(bytes, from, to, start);
  }

  #batch(bytes: Buffer, from: number, to: number, shift: number): Batch {
    const length = bytes === this.bytes ? this.at : this.#ends[to - 1]! - shift;
    const batch = new Batch(bytes, length, to - from);
    for (let row = from; row < to; row++) {
      batch.addRow(this.#starts[row]! - shift, this.#ends[row]! - shift);
    }
    this.#assignFacts(batch, from, to);
    return batch;
  }

  /** Facts that all rows share belong to the batch; others become columns of codes. */
  #assignFacts(batch: Batch, from: number, to: number): void {
    let first = 0;
    while (first + 1 < this.#runs.length && this.#runFrom[first + 1]! <= from) first++;
    let last = first;
    while (last + 1 < this.#runs.length && this.#runFrom[last + 1]! < to) last++;
    const runs = this.#runs.slice(first, last + 1);
    const shared: Record<string, AnyValue> = {};
    for (const name of new Set(runs.flatMap((facts) => Object.keys(facts)))) {
      const value = runs[0]?.[name];
      if (value !== undefined && runs.every((facts) => facts[name] === value)) {
        shared[name] = value;
        continue;
      }
      const column = batch.addCodes(name, new Dictionary());
      for (let i = 0; i < runs.length; i++) {
        const own = runs[i]![name];
        if (own === undefined) continue;
        const code = column.dictionary!.code(own);
        const start = Math.max(this.#runFrom[first + i]!, from);
        const end = Math.min(this.#runFrom[first + i + 1] ?? to, to);
        for (let row = start; row < end; row++) column.setCode(row - from, code);
      }
    }
    batch.attributes = shared;
  }
}

/** Where to cut a line so that at most `max` bytes come before and no UTF-8 sequence is torn. */
export function cutAt(bytes: Uint8Array, start: number, max: number): number {
  const end = start + max;
  for (let cut = end; cut > end - 4 && cut > start; cut--) {
    if ((bytes[cut]! & 0xc0) !== 0x80) return cut;
  }
  return end;
}

function grown(words: Int32Array): Int32Array<ArrayBuffer> {
  const more = new Int32Array(words.length * 2);
  more.set(words);
  return more;
}
