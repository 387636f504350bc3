// The KeyValues of some rows at once, column by column: what is of the column is looked up once for all of them, and a
// processor guesses right what nearly every cell of a column is. Then row by row they are where they belong.

import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { type Column, kinds } from '../../pipeline/column.ts';
import { BOOL as bool, FLOAT64 as float64, INT64 as int64 } from './any_value.ts';
import { integerOf, isText } from './cell.ts';
import { copyWords as copy, type Piece, ProtobufWriter } from './writer.ts';

// Compiled code has constants of this module in it, and looks up those of others each time.
const { ABSENT, CODE, DOUBLE, FALSE, INT, NUMBER, TEXT, TRUE } = kinds;
const BOOL = bool;
const FLOAT64 = float64;
const INT64 = int64;
const copyWords = copy;

/** A column as it is written. */
export type Lane = {
  readonly column: Column;
  /** A KeyValue's beginning: its tag, room for its length in one byte, the key, the tag of its value. */
  readonly key: Piece;
  /** By code: KeyValues behind their tag. */
  readonly coded: Piece[];
  /** What a row without the field has from the batch. */
  readonly fallback: Piece | undefined;
};

/** How cells are written that take more than a few bytes, or more than copying. */
export type LaneWriter = {
  /** The KeyValue of a cell. */
  cell(out: ProtobufWriter, lane: Lane, row: number): void;
  /** The piece of a code that has none yet. */
  code(lane: Lane, code: number): Piece;
};

const rowsMax = 16;
const bytesMax = 64 * 1024;
/** Rows do not all begin at the same place of a page: they would compete for a few lines of the processor's cache. */
const offset = 192;
/** A cell that is written without asking whether it fits takes at most this, with what word copies write beyond it. */
const cellBytesMax = 256;

export class FieldBlock {
  /** Where the KeyValues of the rows end that `fill` was given; a row that did not fit has none. */
  readonly #ends = new Int32Array(rowsMax);
  readonly #rows = new Int32Array(rowsMax);
  readonly #buffer = Buffer.allocUnsafeSlow(bytesMax + rowsMax * offset);
  readonly #view = viewOf(this.#buffer);
  readonly #writer: LaneWriter;
  readonly #aside = new ProtobufWriter(1024);
  #bytes: Buffer = Buffer.alloc(0);
  #source = this.#view;
  #isUtf8 = false;
  #count = 0;
  #perBlock = rowsMax;
  #stride = 0;

  constructor(writer: LaneWriter) {
    this.#writer = writer;
  }

  prepare(batch: Batch, source: DataView): void {
    this.#bytes = batch.bytes;
    this.#source = source;
    this.#isUtf8 = batch.isUtf8;
    this.#perBlock = rowsMax;
  }

  /** Writes rows[from..]; returns how many of them. */
  fill(lanes: readonly Lane[], facts: Piece, rows: Int32Array, from: number, to: number): number {
    const count = Math.min(this.#perBlock, to - from);
    const stride = bytesMax / this.#perBlock + offset;
    const ends = this.#ends;
    for (let i = 0; i < count; i++) {
      this.#rows[i] = rows[from + i]!;
      ends[i] = i * stride;
    }
    this.#count = count;
    this.#stride = stride;
    for (let c = 0; c < lanes.length; c++) {
      const lane = lanes[c]!;
      const { kind } = lane.column;
      for (let i = 0; i < count; ) {
        const k = kind[this.#rows[i]!]!;
        if (k === TEXT) i = this.#texts(lane, i);
        else if (k === CODE) i = this.#codes(lane, i);
        else if (k === ABSENT) i = this.#absent(lane, i);
        else if (k === INT || k === NUMBER) i = this.#integers(lane, i);
        else if (k === DOUBLE) i = this.#doubles(lane, i);
        else i = this.#others(lane, i);
      }
    }
    let fits = true;
    for (let i = 0; i < count; i++) {
      if (facts.length > 0) this.#piece(facts, i);
      if (!this.has(i)) fits = false;
    }
    // Rows are longer than expected: fewer of them at once.
    if (!fits && this.#perBlock > 2) this.#perBlock /= 2;
    return count;
  }

  /** Whether the `i`th row that `fill` was given is there. */
  has(i: number): boolean {
    return this.#ends[i]! <= this.#limit(i);
  }

  /** Appends the `i`th row. */
  put(out: ProtobufWriter, i: number): void {
    const start = i * this.#stride;
    const end = this.#ends[i]!;
    if (out.at + end - start > out.limit) out.reserve(end - start);
    this.#buffer.copy(out.buffer, out.at, start, end);
    out.at += end - start;
  }

  #limit(i: number): number {
    return (i + 1) * this.#stride - offset - cellBytesMax;
  }

  #absent({ column, fallback }: Lane, from: number): number {
    const { kind } = column;
    let i = from;
    for (; i < this.#count && kind[this.#rows[i]!] === ABSENT; i++) {
      if (fallback !== undefined) this.#piece(fallback, i);
    }
    return i;
  }

  #piece(piece: Piece, i: number): void {
    const { length } = piece;
    const at = this.#ends[i]!;
    const limit = this.#limit(i);
    if (at > limit) return;
    if (at + length > limit) this.#ends[i] = limit + 1;
    else {
      copyWords(this.#view, at, piece.view, 0, length);
      this.#ends[i] = at + length;
    }
  }

  /** Text from row `from` on, up to a cell of another kind: returns its row. */
  #texts(lane: Lane, from: number): number {
    const { column, key, fallback } = lane;
    const { kind, a, b } = column;
    const { length, view: head } = key;
    const rows = this.#rows;
    const ends = this.#ends;
    const view = this.#view;
    const source = this.#source;
    const stride = this.#stride;
    const count = this.#count;
    const isUtf8 = this.#isUtf8;
    let limit = this.#limit(from);
    for (let i = from; i < count; i++, limit += stride) {
      const row = rows[i]!;
      const k = kind[row]!;
      if (k !== TEXT) {
        if (k === ABSENT && fallback === undefined) continue;
        return i;
      }
      const at = ends[i]!;
      if (at > limit) continue;
      const start = a[row]!;
      const size = b[row]! - start;
      if (length + size > 126 || !(isUtf8 || isText(this.#bytes, source, start, start + size))) {
        this.#other(lane, i);
        continue;
      }
      copyWords(view, at, head, 0, length);
      view.setUint8(at + 1, length + size + 1);
      view.setInt32(at + length, (size << 16) | 0x0a00 | (size + 2), true);
      copyWords(view, at + length + 3, source, start, size);
      ends[i] = at + length + 3 + size;
    }
    return count;
  }

  #codes(lane: Lane, from: number): number {
    const { column, coded, fallback } = lane;
    const { kind, a } = column;
    const rows = this.#rows;
    const ends = this.#ends;
    const view = this.#view;
    const stride = this.#stride;
    const count = this.#count;
    let limit = this.#limit(from);
    for (let i = from; i < count; i++, limit += stride) {
      const row = rows[i]!;
      const k = kind[row]!;
      if (k !== CODE) {
        if (k === ABSENT && fallback === undefined) continue;
        return i;
      }
      const at = ends[i]!;
      if (at > limit) continue;
      const code = a[row]!;
      const piece = coded[code] ?? this.#writer.code(lane, code);
      const { length } = piece;
      if (length > cellBytesMax - 16) {
        this.#piece(piece, i);
        continue;
      }
      copyWords(view, at, piece.view, 0, length);
      ends[i] = at + length;
    }
    return count;
  }

  #doubles(lane: Lane, from: number): number {
    const { column, key, fallback } = lane;
    const { kind, a, b } = column;
    const { length, view: head } = key;
    const rows = this.#rows;
    const ends = this.#ends;
    const view = this.#view;
    const stride = this.#stride;
    const count = this.#count;
    // With a longer key the length of the KeyValue takes more than one byte.
    if (length > 119) return this.#others(lane, from);
    let limit = this.#limit(from);
    for (let i = from; i < count; i++, limit += stride) {
      const row = rows[i]!;
      const k = kind[row]!;
      if (k !== DOUBLE) {
        if (k === ABSENT && fallback === undefined) continue;
        return i;
      }
      const at = ends[i]!;
      if (at > limit) continue;
      copyWords(view, at, head, 0, length);
      view.setUint8(at + 1, length + 8);
      view.setInt16(at + length, 9 | (FLOAT64 << 8), true);
      view.setInt32(at + length + 2, a[row]!, true);
      view.setInt32(at + length + 6, b[row]!, true);
      ends[i] = at + length + 10;
    }
    return count;
  }

  /** Integers, as digits or as words. Small ones are written here. */
  #integers(lane: Lane, from: number): number {
    const { column, key, fallback } = lane;
    const { kind, a, b } = column;
    const { length, view: head } = key;
    const rows = this.#rows;
    const ends = this.#ends;
    const view = this.#view;
    const stride = this.#stride;
    const count = this.#count;
    let limit = this.#limit(from);
    for (let i = from; i < count; i++, limit += stride) {
      const row = rows[i]!;
      const k = kind[row]!;
      if (k !== INT && k !== NUMBER) {
        if (k === ABSENT && fallback === undefined) continue;
        return i;
      }
      const at = ends[i]!;
      if (at > limit) continue;
      const low = a[row]!;
      const high = b[row]!;
      const value = k === NUMBER ? integerOf(this.#bytes, low, high) : high === 0 ? low : -1;
      if (value < 0 || value >= 0x10000000 || length > 123) {
        this.#other(lane, i);
        continue;
      }
      // A varint of up to four bytes.
      const size = value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
      const spread =
        (value & 0x7f) |
        ((value & 0x3f80) << 1) |
        ((value & 0x1fc000) << 2) |
        ((value & 0xfe00000) << 3);
      copyWords(view, at, head, 0, length);
      view.setUint8(at + 1, length + size);
      view.setInt16(at + length, (1 + size) | (INT64 << 8), true);
      view.setInt32(at + length + 2, spread | (0x00808080 >>> (32 - size * 8)), true);
      ends[i] = at + length + 2 + size;
    }
    return count;
  }

  #others(lane: Lane, from: number): number {
    const { kind } = lane.column;
    const row = this.#rows[from]!;
    const k = kind[row]!;
    const { length } = lane.key;
    const at = this.#ends[from]!;
    if ((k === TRUE || k === FALSE) && length < 120) {
      if (at <= this.#limit(from)) {
        const view = this.#view;
        copyWords(view, at, lane.key.view, 0, length);
        view.setUint8(at + 1, length + 1);
        view.setInt32(at + length, 2 | (BOOL << 8) | (k === TRUE ? 0x10000 : 0), true);
        this.#ends[from] = at + length + 3;
      }
    } else this.#other(lane, from);
    return from + 1;
  }

  /** A cell of any kind and length. */
  #other(lane: Lane, i: number): void {
    const at = this.#ends[i]!;
    const limit = this.#limit(i);
    if (at > limit) return;
    const aside = this.#aside;
    aside.at = 0;
    this.#writer.cell(aside, lane, this.#rows[i]!);
    const size = aside.at;
    if (at + size > limit) this.#ends[i] = limit + 1;
    else {
      if (size > 160) aside.buffer.copy(this.#buffer, at, 0, size);
      else copyWords(this.#view, at, aside.view, 0, size);
      this.#ends[i] = at + size;
    }
  }
}
