// A growing buffer and the JSON pieces that are copied into it from source bytes. Lengths are not known beforehand, so
// every piece reserves its worst case first. Typed arrays are read with `!` as in column.ts.

import { slackBytes } from '../pipeline/buffers.ts';

/** Bytes that can be copied by words: `view` may be read up to 16 bytes beyond them. */
export type Piece = { readonly view: DataView; readonly length: number };

export function pieceOf(text: string): Piece {
  const bytes = Buffer.from(text);
  const padded = new Uint8Array(bytes.length + 16);
  padded.set(bytes);
  return { view: new DataView(padded.buffer), length: bytes.length };
}

/** Bytes being put together. What `bytes()` returns is valid until the next `reset`. */
export class ByteWriter {
  buffer: Buffer;
  view: DataView;
  at = 0;

  constructor(size = 1 << 16) {
    this.buffer = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.buffer.buffer);
  }

  reset(): void {
    this.at = 0;
  }

  /** Makes room for `count` more bytes and the slack that word copies write beyond them. */
  reserve(count: number): void {
    const needed = this.at + count + slackBytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.at);
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  put(piece: Uint8Array): void {
    this.reserve(piece.length);
    const buffer = this.buffer;
    let at = this.at;
    if (piece.length < 48) for (let i = 0; i < piece.length; i++) buffer[at++] = piece[i]!;
    else {
      buffer.set(piece, at);
      at += piece.length;
    }
    this.at = at;
  }

  /** A piece that is written again and again, by words. */
  piece({ view, length }: Piece): void {
    this.reserve(length);
    copyWords(this.view, this.at, view, length);
    this.at += length;
  }

  /** A piece and then bytes start..end of `source` as a JSON string, when nothing in them needs an escape. */
  pieceAndText(piece: Piece, view: DataView, start: number, end: number): boolean {
    const length = piece.length;
    const count = end - start;
    this.reserve(length + count + 8);
    const target = this.view;
    let at = this.at;
    copyWords(target, at, piece.view, length);
    at += length;
    target.setUint8(at++, 34);
    // Whether a byte needs an escape is asked once at the end: few do, and the processor guesses no branch wrong.
    let found = 0;
    let i = 0;
    for (; i + 4 <= count; i += 4) {
      const word = view.getInt32(start + i, true);
      found |= specials(word);
      target.setInt32(at + i, word, true);
    }
    if (i < count) {
      const word = view.getInt32(start + i, true);
      found |= specials(word) & ((1 << ((count - i) * 8)) - 1);
      target.setInt32(at + i, word, true);
    }
    if ((found & 0x80808080) !== 0) return false;
    target.setUint8(at + count, 34);
    this.at = at + count + 1;
    return true;
  }

  /** Text as UTF-8. */
  text(value: string): void {
    this.reserve(value.length * 3);
    this.at += this.buffer.utf8Write(value, this.at);
  }

  /** Bytes start..end of `source`, unchanged. `view` looks at the same memory and has slack beyond the end. */
  span(source: Buffer, view: DataView, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    if (count > 96) source.copy(this.buffer, this.at, start, end);
    else {
      const target = this.view;
      for (let i = 0; i < count; i += 4) {
        target.setInt32(this.at + i, view.getInt32(start + i, true), true);
      }
    }
    this.at += count;
  }

  /** The bytes as a JSON string with its quotes, escaped where JSON demands it. The source must be valid UTF-8. */
  jsonSpan(source: Buffer, view: DataView, start: number, end: number): void {
    this.reserve((end - start) * 6 + 2);
    const target = this.view;
    const buffer = this.buffer;
    let at = this.at;
    buffer[at++] = 34;
    let i = start;
    while (i < end) {
      if (i + 4 <= end) {
        const word = view.getInt32(i, true);
        if (!hasSpecial(word)) {
          target.setInt32(at, word, true);
          at += 4;
          i += 4;
          continue;
        }
      }
      // Up to four bytes one by one, then words again.
      for (const stop = Math.min(i + 4, end); i < stop; i++) {
        const c = source[i]!;
        if (c >= 32 && c !== 34 && c !== 92) buffer[at++] = c;
        else at = putEscape(buffer, at, c);
      }
    }
    buffer[at++] = 34;
    this.at = at;
  }

  /** A non-negative integer below 2^53 in decimal. */
  digits(value: number): void {
    this.reserve(20);
    let count = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) count++;
    let rest = value;
    for (let i = this.at + count - 1; i >= this.at; i--) {
      const next = Math.floor(rest / 10);
      this.buffer[i] = 48 + (rest - next * 10);
      rest = next;
    }
    this.at += count;
  }

  bytes(): Buffer {
    return this.buffer.subarray(0, this.at);
  }
}

/** Whether one of the four bytes is a quote, a backslash or a control character. */
function hasSpecial(word: number): boolean {
  return (specials(word) & 0x80808080) !== 0;
}

/** The highest bit of a byte is set when it is such a character. Exact for the lowest of them. */
function specials(word: number): number {
  // Flipping one bit puts the quote next to the control characters, with space and `!` out of the way.
  const low = (word ^ 0x02020202) - 0x21212121;
  const slash = (word ^ 0x5c5c5c5c) - 0x01010101;
  return (low | slash) & ~word;
}

/** Copies `count` bytes by words: up to 16 bytes beyond are read and written. (Compiled, no BigInt is made.) */
function copyWords(target: DataView, to: number, source: DataView, count: number): void {
  target.setBigInt64(to, source.getBigInt64(0, true), true);
  target.setBigInt64(to + 8, source.getBigInt64(8, true), true);
  for (let i = 16; i < count; i += 8) {
    target.setBigInt64(to + i, source.getBigInt64(i, true), true);
  }
}

const hex = '0123456789abcdef';
const shortEscapes = new Map([
  [8, 98],
  [9, 116],
  [10, 110],
  [12, 102],
  [13, 114],
  [34, 34],
  [92, 92],
]);

function putEscape(buffer: Buffer, from: number, c: number): number {
  let at = from;
  buffer[at++] = 92;
  const short = shortEscapes.get(c);
  if (short !== undefined) {
    buffer[at++] = short;
    return at;
  }
  buffer[at++] = 117;
  buffer[at++] = 48;
  buffer[at++] = 48;
  buffer[at++] = hex.charCodeAt(c >> 4);
  buffer[at++] = hex.charCodeAt(c & 15);
  return at;
}
