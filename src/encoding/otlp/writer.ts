// A growing buffer for protobuf. Lengths stand before what they measure, so they are kept free and filled in
// afterwards. Typed arrays are read with `!` as in column.ts.

import { buffers, slackBytes, viewOf } from '../../pipeline/buffers.ts';

/** Protobuf being put together, in a buffer of the pool. */
export class ProtobufWriter {
  buffer: Buffer;
  view: DataView;
  at = 0;
  /** `at` may grow up to here before `reserve` is needed; word copies may write `slackBytes` beyond. */
  limit: number;

  constructor(size: number) {
    this.buffer = buffers.take(size);
    this.view = viewOf(this.buffer);
    this.limit = this.buffer.length - slackBytes;
  }

  /** What was written. It belongs to the buffer: `release` ends both. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  /** Gives the buffer back to the pool. Nobody may read what was written afterwards. */
  release(): void {
    buffers.give(this.buffer);
  }

  reserve(count: number): void {
    if (this.at + count <= this.limit) return;
    const grown = buffers.take(Math.max(this.at + count, this.buffer.length * 2 - slackBytes));
    this.buffer.copy(grown, 0, 0, this.at);
    buffers.give(this.buffer);
    this.buffer = grown;
    this.view = viewOf(grown);
    this.limit = grown.length - slackBytes;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  /** A non-negative integer below 2^32. */
  varint(value: number): void {
    this.reserve(5);
    let at = this.at;
    let rest = value;
    while (rest > 127) {
      this.buffer[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.buffer[at++] = rest;
    this.at = at;
  }

  /** A 64-bit integer given as its two words. */
  varint64(low: number, high: number): void {
    this.reserve(10);
    let at = this.at;
    let lower = low >>> 0;
    let upper = high >>> 0;
    while (upper !== 0 || lower > 127) {
      this.buffer[at++] = (lower & 127) | 128;
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    this.buffer[at++] = lower;
    this.at = at;
  }

  /** Eight bytes given as two words. */
  fixed64(low: number, high: number): void {
    this.reserve(8);
    this.view.setInt32(this.at, low, true);
    this.view.setInt32(this.at + 4, high, true);
    this.at += 8;
  }

  double(value: number): void {
    this.reserve(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  put(piece: Uint8Array): void {
    const count = piece.length;
    this.reserve(count);
    if (count > 16) this.buffer.set(piece, this.at);
    else for (let i = 0; i < count; i++) this.buffer[this.at + i] = piece[i]!;
    this.at += count;
  }

  piece({ length, view }: Piece): void {
    if (this.at + length > this.limit) this.reserve(length);
    copyWords(this.view, this.at, view, 0, length);
    this.at += length;
  }

  /** Bytes start..end of `source`, unchanged. `view` looks at the same memory and has slack beyond the end. */
  span(source: Buffer, view: DataView, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    if (count > copyAbove) source.copy(this.buffer, this.at, start, end);
    else copyWords(this.view, this.at, view, start, count);
    this.at += count;
  }

  /** Text as UTF-8 behind its length. Lone surrogates become U+FFFD. */
  string(text: string): void {
    this.reserve(text.length * 3 + 5);
    if (text.length < 42) {
      const written = this.buffer.utf8Write(text, this.at + 1);
      this.buffer[this.at] = written;
      this.at += written + 1;
      return;
    }
    this.varint(Buffer.byteLength(text));
    this.at += this.buffer.utf8Write(text, this.at);
  }

  /** Leaves room for a length of `reserved` bytes. Returns the mark for `close`. */
  open(reserved: number): number {
    this.reserve(reserved);
    this.at += reserved;
    return this.at;
  }

  /**
   * Writes the length of what came since `open`. A length that needs fewer bytes than were reserved is padded, which
   * protobuf allows; one that needs more moves the content.
   */
  close(mark: number, reserved: number): void {
    const length = this.at - mark;
    const needed = length < 128 ? 1 : length < 16384 ? 2 : length < 2097152 ? 3 : 4;
    let at = mark - reserved;
    if (needed > reserved) {
      this.reserve(needed - reserved);
      this.buffer.copyWithin(mark + needed - reserved, mark, this.at);
      this.at += needed - reserved;
    }
    const last = at + Math.max(needed, reserved) - 1;
    let rest = length;
    for (; at < last; at++) {
      this.buffer[at] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.buffer[at] = rest;
  }
}

/** Above this many bytes a native copy is cheaper than words. */
export const copyAbove = 160;

/**
 * Copies `count` bytes as words: up to 16 bytes beyond are read and written. Two words are copied without asking: how
 * often a loop runs is what a processor guesses wrong, and nearly all keys and values are short. (Compiled, no BigInt is
 * made.)
 */
export function copyWords(
  target: DataView,
  to: number,
  source: DataView,
  from: number,
  count: number,
): void {
  target.setBigInt64(to, source.getBigInt64(from, true), true);
  target.setBigInt64(to + 8, source.getBigInt64(from + 8, true), true);
  for (let i = 16; i < count; i += 16) {
    target.setBigInt64(to + i, source.getBigInt64(from + i, true), true);
    target.setBigInt64(to + i + 8, source.getBigInt64(from + i + 8, true), true);
  }
}

/** Bytes that are written again and again. */
export type Piece = {
  readonly length: number;
  /** The bytes, and a few more, so that they can be copied as words. */
  readonly view: DataView;
};

export function pieceOf(bytes: Uint8Array): Piece {
  const padded = new Uint8Array(bytes.length + 16);
  padded.set(bytes);
  return { length: bytes.length, view: new DataView(padded.buffer) };
}

/** How many bytes the varint of a length takes. */
export function varintSize(value: number): number {
  return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : value < 268435456 ? 4 : 5;
}
