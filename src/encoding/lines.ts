// Bytes into lines: where each one starts and ends. Nothing is copied or decoded.

/** What happens to a line that is longer than allowed: pieces, its beginning only, or nothing of it. */
export type TooLong = 'split' | 'truncate' | 'drop';

export type LineLimit = {
  /** The longest line, in bytes, without its newline. */
  readonly bytesMax: number;
  readonly tooLong: TooLong;
};

const newline = 10;
const carriageReturn = 13;

/** Lines of one chunk at a time, as spans without newline and without the carriage return before it. Reused. */
export class Lines {
  readonly capacity: number;
  readonly start: Int32Array;
  readonly end: Int32Array;
  count = 0;
  /** Since the last `split`: lines that lost their end, and lines that vanished, to the limit. */
  truncated = 0;
  dropped = 0;
  /** True while inside a line whose rest is not wanted: hand it on to the next `split` of the same stream. */
  skipping = false;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.start = new Int32Array(capacity);
    this.end = new Int32Array(capacity);
  }

  /**
   * Finds the complete lines of bytes[from, to), at most `capacity`. Returns where the rest begins that is still to be
   * split: the unfinished last line, which is never longer than `bytesMax + 1`. Needs one writable byte at `to`.
   */
  split(bytes: Buffer, from: number, to: number, limit: LineLimit): number {
    const { start, end, capacity } = this;
    const { bytesMax } = limit;
    this.count = 0;
    this.truncated = 0;
    this.dropped = 0;
    // A newline of our own after the data ends every search there, whatever an older use left behind.
    bytes[to] = newline;
    let at = this.skipping ? this.#skip(bytes, from, to) : from;
    let count = 0;
    while (count < capacity) {
      const found = bytes.indexOf(newline, at);
      if (found >= to) break;
      const lineEnd = found > at && bytes[found - 1] === carriageReturn ? found - 1 : found;
      if (lineEnd - at > bytesMax) {
        this.count = count;
        at = this.#tooLong(bytes, at, lineEnd, found + 1, limit);
        count = this.count;
        continue;
      }
      start[count] = at;
      end[count++] = lineEnd;
      at = found + 1;
    }
    this.count = count;
    // One more byte than allowed could still be the carriage return of a line that is just short enough.
    if (to - at > bytesMax + 1 && count < capacity) at = this.#tooLongOpen(bytes, at, to, limit);
    return at;
  }

  /** Takes the unfinished rest as a line, because nothing will follow it. Returns as `split` does. */
  finish(bytes: Buffer, from: number, to: number, limit: LineLimit): number {
    const skipped = this.skipping;
    this.skipping = false;
    this.count = 0;
    this.truncated = 0;
    this.dropped = 0;
    if (from === to || skipped) return to;
    const end = bytes[to - 1] === carriageReturn ? to - 1 : to;
    if (end - from > limit.bytesMax) return this.#tooLong(bytes, from, end, to, limit);
    this.#add(from, end);
    return to;
  }

  #skip(bytes: Buffer, from: number, to: number): number {
    const found = bytes.indexOf(newline, from);
    if (found >= to) return to;
    this.skipping = false;
    return found + 1;
  }

  /** A line over the limit that is there in full. Returns where splitting goes on. */
  #tooLong(bytes: Buffer, at: number, lineEnd: number, next: number, limit: LineLimit): number {
    if (limit.tooLong === 'split') return this.#pieces(bytes, at, lineEnd, limit.bytesMax);
    this.#lose(bytes, at, limit);
    return next;
  }

  /** The same of which the end has not been seen. */
  #tooLongOpen(bytes: Buffer, from: number, to: number, limit: LineLimit): number {
    if (limit.tooLong === 'split') return this.#pieces(bytes, from, to - 1, limit.bytesMax);
    this.#lose(bytes, from, limit);
    this.skipping = true;
    return to;
  }

  /** Cuts pieces off while more than one is left. The same places are cut however the bytes arrive. */
  #pieces(bytes: Buffer, from: number, end: number, bytesMax: number): number {
    let at = from;
    while (end - at > bytesMax && this.count < this.capacity) {
      const to = cut(bytes, at, bytesMax);
      this.#add(at, to);
      at = to;
    }
    return at;
  }

  #lose(bytes: Buffer, at: number, limit: LineLimit): void {
    if (limit.tooLong === 'truncate') {
      this.#add(at, cut(bytes, at, limit.bytesMax));
      this.truncated++;
    } else this.dropped++;
  }

  #add(start: number, end: number): void {
    this.start[this.count] = start;
    this.end[this.count++] = end;
  }
}

/** Where a piece that starts at `at` ends: after `bytesMax` bytes, but not inside a UTF-8 character. */
export function cut(bytes: Uint8Array, at: number, bytesMax: number): number {
  let end = at + bytesMax;
  if (bytesMax < 4) return end;
  for (let back = 0; back < 3 && (bytes[end]! & 0xc0) === 0x80; back++) end--;
  // Four continuation bytes in a row are no UTF-8: then any place is as good.
  return (bytes[end]! & 0xc0) === 0x80 ? at + bytesMax : end;
}
