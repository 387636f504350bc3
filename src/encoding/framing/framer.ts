// Where one connection's records begin and end. Keeps the bytes of the record that is still incomplete, and nothing else.

import type { Attributes } from '../../pipeline/record.ts';
import { cutAt, type LineCounts, type LinePolicy, type OpenBatch } from './open_batch.ts';

export type Framing = 'newline' | 'octet_counted' | 'auto';

/** Bytes that all framers of one receiver keep together. */
export type Kept = { bytes: number };

export type FramerOptions = {
  readonly framing: Framing;
  readonly policy: LinePolicy;
  /** Attributes of every record of the connection. */
  readonly facts: Attributes;
  readonly counts: LineCounts;
  readonly kept: Kept;
};

const tailBytesMin = 512;
/** An empty tail of more than this is given back. */
const tailBytesIdle = 1024;
const lengthDigitsMax = 10;

/**
 * Cuts the byte stream of one connection into records. newline: a record ends with LF or CRLF. octet_counted
 * (RFC 6587): `LENGTH SPACE RECORD`. auto: octet_counted when the connection begins with such a length (a decimal
 * number up to the line limit, then a space), newline otherwise.
 */
export class LineFramer {
  readonly facts: Attributes;
  /** The peer broke the framing, so that no further record can be found. */
  broken = false;
  tailLength = 0;
  #tail: Buffer | undefined;
  #framing: Framing;
  readonly #policy: LinePolicy;
  readonly #counts: LineCounts;
  readonly #kept: Kept;
  /** The rest of the line is not wanted. */
  #skippingLine = false;
  /** Octets of the frame that are not wanted; that are wanted but have not come; its length as far as it was read. */
  #skipOctets = 0;
  #octetsLeft = 0;
  #length = 0;
  #lengthDigits = 0;

  constructor(options: FramerOptions) {
    this.facts = options.facts;
    this.#framing = options.framing;
    this.#policy = options.policy;
    this.#counts = options.counts;
    this.#kept = options.kept;
  }

  /** Moves every record that is complete with `chunk` into `open`, which has room for tailLength + chunk.length bytes. */
  feed(chunk: Uint8Array, open: OpenBatch): void {
    const bytes = this.#framing === 'auto' ? this.#decide(chunk) : chunk;
    if (bytes === undefined) return;
    if (this.#framing === 'newline') this.#feedLines(bytes, open);
    else this.#feedFrames(bytes, open);
  }

  /** The connection has ended: an incomplete record becomes a record as it is. True when there was one. */
  finish(open: OpenBatch): boolean {
    if (this.tailLength === 0) return false;
    const start = open.at;
    open.append(this.#bytes, 0, this.tailLength);
    open.addLine(start, this.#policy, this.#counts);
    this.release();
    return true;
  }

  /** Treats the incomplete record as too long, to get its memory back. `open` has room for tailLength bytes. */
  relieve(open: OpenBatch): void {
    if (this.tailLength > 0) this.#cut(open, 0);
    this.release();
  }

  #feedLines(chunk: Uint8Array, open: OpenBatch): void {
    let from = 0;
    if (this.#skippingLine) {
      const newline = chunk.indexOf(10);
      if (newline === -1) return;
      from = newline + 1;
      this.#skippingLine = false;
    }
    const end = chunk.lastIndexOf(10) + 1;
    if (end > from) {
      const start = open.at;
      if (this.#tail !== undefined) open.append(this.#tail, 0, this.tailLength);
      open.append(chunk, from, end);
      this.#clearTail();
      open.addLines(start, this.#policy, this.#counts);
      from = end;
    }
    this.#keep(chunk, from, chunk.length);
    if (this.tailLength > this.#policy.lineBytesMax + 1) {
      this.#cut(open, this.#policy.lineBytesMax + 1);
    }
  }

  #feedFrames(chunk: Uint8Array, open: OpenBatch): void {
    const { lineBytesMax } = this.#policy;
    let at = 0;
    while (at < chunk.length && !this.broken) {
      if (this.#skipOctets > 0) {
        const count = Math.min(this.#skipOctets, chunk.length - at);
        this.#skipOctets -= count;
        at += count;
      } else if (this.#octetsLeft === 0) at = this.#readLength(chunk, at);
      else {
        const count = Math.min(this.#octetsLeft, chunk.length - at);
        this.#octetsLeft -= count;
        if (this.#octetsLeft === 0) this.#emitFrame(chunk, at, at + count, open);
        else {
          this.#keep(chunk, at, at + count);
          if (this.tailLength > lineBytesMax + 1) this.#cut(open, lineBytesMax + 1);
        }
        at += count;
      }
    }
  }

  #emitFrame(chunk: Uint8Array, from: number, to: number, open: OpenBatch): void {
    const start = open.at;
    if (this.#tail !== undefined) open.append(this.#tail, 0, this.tailLength);
    open.append(chunk, from, to);
    this.#clearTail();
    open.addLine(start, this.#policy, this.#counts);
  }

  /** Reads digits up to the space. Line ends between frames are let pass: some senders add them. */
  #readLength(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (byte >= 48 && byte <= 57 && this.#lengthDigits < lengthDigitsMax) {
        this.#length = this.#length * 10 + byte - 48;
        this.#lengthDigits++;
      } else if (byte === 32 && this.#lengthDigits > 0) {
        if (this.#length === 0) this.#counts.empty++;
        this.#octetsLeft = this.#length;
        this.#length = 0;
        this.#lengthDigits = 0;
        return at + 1;
      } else if ((byte !== 10 && byte !== 13) || this.#lengthDigits > 0) {
        this.broken = true;
        return at;
      }
    }
    return chunk.length;
  }

  /** Cuts the tail by policy until at most `keepMax` bytes are left of it. */
  #cut(open: OpenBatch, keepMax: number): void {
    const { tooLong } = this.#policy;
    if (tooLong === 'drop') this.#counts.dropped++;
    else {
      let from = 0;
      do {
        from = this.#emitPiece(open, from);
      } while (tooLong === 'split' && this.tailLength - from > keepMax);
      if (tooLong === 'split') {
        this.#bytes.copyWithin(0, from, this.tailLength);
        this.tailLength -= from;
        if (this.tailLength === 0) this.#clearTail();
        return;
      }
    }
    this.#clearTail();
    this.#skipRest();
  }

  /** Adds the next piece of the tail; returns where it ended. */
  #emitPiece(open: OpenBatch, from: number): number {
    const { lineBytesMax } = this.#policy;
    const whole = this.tailLength - from <= lineBytesMax;
    const to = whole ? this.tailLength : cutAt(this.#bytes, from, lineBytesMax);
    const start = open.at;
    open.append(this.#bytes, from, to);
    open.addPiece(start);
    this.#counts.cut++;
    return to;
  }

  #skipRest(): void {
    if (this.#framing === 'newline') this.#skippingLine = true;
    this.#skipOctets = this.#octetsLeft;
    this.#octetsLeft = 0;
  }

  /** What to read the connection's first bytes as; undefined while that is open. Settles the framing. */
  #decide(chunk: Uint8Array): Uint8Array | undefined {
    this.#keep(chunk, 0, chunk.length);
    const framing = framingOf(this.#bytes.subarray(0, this.tailLength), this.#policy.lineBytesMax);
    if (framing === undefined) return undefined;
    this.#framing = framing;
    const begin = Buffer.from(this.#bytes.subarray(0, this.tailLength));
    this.#clearTail();
    return begin;
  }

  get #bytes(): Buffer {
    return this.#tail ?? empty;
  }

  #keep(source: Uint8Array, from: number, to: number): void {
    if (to <= from) return;
    const needed = this.tailLength + to - from;
    if (needed > this.#bytes.length) {
      const size = Math.max(tailBytesMin, 2 ** Math.ceil(Math.log2(needed)));
      const grown = Buffer.allocUnsafeSlow(size);
      this.#bytes.copy(grown, 0, 0, this.tailLength);
      this.#kept.bytes += size - this.#bytes.length;
      this.#tail = grown;
    }
    this.#bytes.set(source.subarray(from, to), this.tailLength);
    this.tailLength = needed;
  }

  #clearTail(): void {
    this.tailLength = 0;
    if (this.#bytes.length > tailBytesIdle) this.release();
  }

  /** Gives the memory of the tail back. */
  release(): void {
    this.#kept.bytes -= this.#bytes.length;
    this.#tail = undefined;
    this.tailLength = 0;
  }
}

const empty = Buffer.alloc(0);

function framingOf(
  bytes: Uint8Array,
  lineBytesMax: number,
): 'newline' | 'octet_counted' | undefined {
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === 32 && at > 0) return length <= lineBytesMax ? 'octet_counted' : 'newline';
    if (byte < (at === 0 ? 49 : 48) || byte > 57 || at >= lengthDigitsMax) return 'newline';
    length = length * 10 + byte - 48;
  }
  return undefined;
}
