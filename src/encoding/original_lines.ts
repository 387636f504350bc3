// The lines of a batch as they were received.

import type { Batch } from '../pipeline/batch.ts';

/** More runs of neighbouring lines than this are copied together: a write of many small pieces costs more. */
const piecesMax = 16;
const newline = 10;
const newlineBytes = Buffer.from('\n');

/** Turns a batch of lines into bytes. One instance per exporter; not for use by two callers at once. */
export class OriginalLineEncoder {
  #copy = Buffer.alloc(0);
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /**
   * The selected lines, each ended by a newline. The pieces are valid until the next call, and as long as the batch is:
   * lines that lie next to each other in the batch are not copied.
   */
  encode(batch: Batch): Buffer[] {
    this.#findRuns(batch);
    return this.#starts.length > piecesMax ? [this.#copied(batch)] : this.#inPlace(batch);
  }

  /** Runs of selected lines with nothing but single newlines between them. A run ends before its last newline. */
  #findRuns(batch: Batch): void {
    const { bytes, rowStart, rowEnd, selection, count } = batch;
    const starts = this.#starts;
    const ends = this.#ends;
    starts.length = 0;
    ends.length = 0;
    let end = -1;
    for (let i = 0; i < count; i++) {
      const row = selection[i]!;
      const start = rowStart[row]!;
      if (start === end + 1 && end >= 0 && bytes[end] === newline)
        ends[ends.length - 1] = rowEnd[row]!;
      else {
        starts.push(start);
        ends.push(rowEnd[row]!);
      }
      end = rowEnd[row]!;
    }
  }

  #inPlace(batch: Batch): Buffer[] {
    const pieces: Buffer[] = [];
    for (let i = 0; i < this.#starts.length; i++) {
      const end = this.#ends[i]!;
      // What lies behind `length` is slack of unknown content.
      const ended = end < batch.length && batch.bytes[end] === newline;
      pieces.push(batch.bytes.subarray(this.#starts[i]!, ended ? end + 1 : end));
      if (!ended) pieces.push(newlineBytes);
    }
    return pieces;
  }

  #copied(batch: Batch): Buffer {
    const starts = this.#starts;
    const ends = this.#ends;
    let size = starts.length;
    for (let i = 0; i < starts.length; i++) size += ends[i]! - starts[i]!;
    if (this.#copy.length < size) this.#copy = Buffer.allocUnsafeSlow(size * 2);
    const copy = this.#copy;
    let at = 0;
    for (let i = 0; i < starts.length; i++) {
      at += batch.bytes.copy(copy, at, starts[i]!, ends[i]!);
      copy[at++] = newline;
    }
    return copy.subarray(0, at);
  }
}
