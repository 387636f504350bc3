// Standard input as batches of lines, as soon as lines are there. JSON that was printed over several lines counts as one.

import { Lines } from '../encoding/lines.ts';
import { Batch } from '../pipeline/batch.ts';
import { buffers } from '../pipeline/buffers.ts';

export type LineBatch = {
  readonly batch: Batch;
  /** For each row the number of its line in the input, from 1. */
  readonly numbers: readonly number[];
};

const limit = { bytesMax: 1024 * 1024, tooLong: 'split' } as const;
const linesPerBatch = 1000;
const newline = 10;

/** Batches over the lines of a stream. The caller releases them. */
export async function* lineBatches(input: AsyncIterable<Uint8Array>): AsyncGenerator<LineBatch> {
  const reader = new LineReader();
  for await (const chunk of input) yield* reader.take(chunk);
  yield* reader.finish();
}

class LineReader {
  readonly #lines = new Lines(linesPerBatch);
  #rest: Uint8Array = new Uint8Array(0);
  /** Lines so far. */
  #number = 0;

  *take(chunk: Uint8Array): Generator<LineBatch> {
    let rest = Buffer.concat([this.#rest, chunk]);
    while (rest.length > 0) {
      const bytes = buffers.take(rest.length);
      rest.copy(bytes);
      const lines = this.#lines;
      const end = lines.split(bytes, 0, rest.length, limit);
      const open = openObject(bytes, lines);
      // An object that has begun waits for its end, unless there is already more of it than a line may have.
      const waits = open >= 0 && rest.length - lines.start[open]! < limit.bytesMax;
      const from = waits ? lines.start[open]! : end;
      if (waits) lines.count = open;
      if (lines.count > 0) yield this.#batch(bytes, end);
      else buffers.give(bytes);
      if (from === 0 || lines.count === 0) {
        rest = rest.subarray(from);
        break;
      }
      rest = rest.subarray(from);
    }
    this.#rest = Buffer.from(rest);
  }

  *finish(): Generator<LineBatch> {
    let rest = this.#rest;
    while (rest.length > 0) {
      const bytes = buffers.take(rest.length + 1);
      bytes.set(rest);
      bytes[rest.length] = newline;
      const end = this.#lines.split(bytes, 0, rest.length + 1, limit);
      yield this.#batch(bytes, end);
      rest = rest.subarray(end);
    }
  }

  #batch(bytes: Buffer, length: number): LineBatch {
    const lines = this.#lines;
    const batch = new Batch(bytes, length, lines.count);
    batch.observedMs = Date.now();
    const numbers: number[] = [];
    for (let i = 0; i < lines.count; i++) {
      const first = i;
      const close = isBrace(bytes, lines, i, 123) ? closing(bytes, lines, i) : -1;
      if (close > 0) {
        i = close;
        unwrap(bytes, lines.start[first]!, lines.end[close]!);
      }
      const start = lines.start[first]!;
      const end = lines.end[i]!;
      const number = this.#number + first + 1;
      if (end === start) continue;
      batch.addRow(start, end);
      numbers.push(number);
    }
    this.#number += lines.count;
    return { batch, numbers };
  }
}

/** Whether a line is a brace and nothing else. */
function isBrace(bytes: Buffer, lines: Lines, i: number, brace: number): boolean {
  return lines.end[i]! - lines.start[i]! === 1 && bytes[lines.start[i]!] === brace;
}

/** The line that closes the object that line `from` opens; -1: it is not there. */
function closing(bytes: Buffer, lines: Lines, from: number): number {
  for (let i = from + 1; i < lines.count; i++) {
    if (isBrace(bytes, lines, i, 125)) return i;
    // Whoever prints JSON over several lines indents what is inside.
    if (bytes[lines.start[i]!] !== 32 && bytes[lines.start[i]!] !== 9) return -1;
  }
  return -1;
}

/** The line where an object begins that is not yet complete; -1: there is none. */
function openObject(bytes: Buffer, lines: Lines): number {
  for (let i = lines.count - 1; i >= 0; i--) {
    if (isBrace(bytes, lines, i, 123)) return closing(bytes, lines, i) < 0 ? i : -1;
    const first = bytes[lines.start[i]!];
    if (first !== 32 && first !== 9) return -1;
  }
  return -1;
}

/** JSON has no newlines but between its tokens. */
function unwrap(bytes: Buffer, start: number, end: number): void {
  for (let i = start; i < end; i++) if (bytes[i] === 10 || bytes[i] === 13) bytes[i] = 32;
}
