// Room behind the source bytes of a batch for text that stands nowhere in them: addresses, times, JSON of structs.

import type { Batch } from '../../pipeline/batch.ts';
import { buffers, slackBytes, viewOf } from '../../pipeline/buffers.ts';

let margins = 0;

/** Appends to a batch's bytes. They may move while it does: `bytes` is where they are. */
export class Margin {
  bytes: Buffer;
  view: DataView;
  /** Where the next text begins. */
  at: number;
  /** Every margin has its own. */
  readonly number = ++margins;
  readonly #batch: Batch;
  /** Buffers that became too small. What was read from them a moment ago is still read. */
  readonly #outgrown: Buffer[] = [];

  constructor(batch: Batch) {
    this.#batch = batch;
    this.bytes = batch.bytes;
    this.view = viewOf(batch.bytes);
    this.at = batch.length;
  }

  /** Makes sure that `count` bytes fit. */
  reserve(count: number): void {
    if (this.at + count + slackBytes > this.bytes.length) this.#grow(count);
  }

  #grow(count: number): void {
    const larger = buffers.take(Math.max(this.bytes.length * 2, this.at + count));
    this.bytes.copy(larger, 0, 0, this.at);
    this.#outgrown.push(this.bytes);
    this.bytes = larger;
    this.view = viewOf(larger);
    this.#batch.bytes = larger;
  }

  /** Bytes start..end of the batch again. */
  copy(start: number, end: number): void {
    const { bytes } = this;
    if (end - start > 48) bytes.copyWithin(this.at, start, end);
    else for (let i = start, to = this.at; i < end; i++) bytes[to++] = bytes[i]!;
    this.at += end - start;
  }

  put(text: Buffer): void {
    const { bytes } = this;
    let to = this.at;
    if (text.length > 48) bytes.set(text, to);
    else for (let i = 0; i < text.length; i++) bytes[to++] = text[i]!;
    this.at += text.length;
  }

  byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  /** A number below 100 as two digits. */
  pair(value: number): void {
    const tens = (value / 10) | 0;
    this.bytes[this.at] = 48 + tens;
    this.bytes[this.at + 1] = 48 + value - tens * 10;
    this.at += 2;
  }

  /** A number below 2^32 in decimal, with leading zeros up to `width`. */
  digits(value: number, width = 1): void {
    const { bytes } = this;
    let count = value < 100 ? (value < 10 ? 1 : 2) : value < 1000 ? 3 : 4;
    for (let limit = 10_000; value >= limit && count < 10; limit *= 10) count++;
    if (count < width) count = width;
    let rest = value;
    for (let i = this.at + count - 1; i >= this.at; i--) {
      const next = (rest / 10) >>> 0;
      bytes[i] = 48 + rest - next * 10;
      rest = next;
    }
    this.at += count;
  }

  /** What was appended belongs to the batch. */
  close(): void {
    this.#batch.length = this.at;
    for (const bytes of this.#outgrown) buffers.give(bytes);
  }
}
