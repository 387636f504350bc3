// One field of a batch: for each row a kind and two 32-bit words. In this folder and in src/encoding typed
// arrays are read with `!`: their indexes are bounded by the loops that make them.

import type { AnyValue } from './record.ts';

/** The row has no such field. Absent is not empty. */
export const ABSENT = 0;
/** Bytes a..b of the batch are the text as it is (UTF-8, or claimed to be: see Batch.isUtf8). */
export const TEXT = 1;
/** Bytes a..b are the inside of a JSON string that holds at least one escape. */
export const ESCAPED = 2;
/** Bytes a..b are a JSON number, digits of an integer included. */
export const NUMBER = 3;
export const TRUE = 4;
export const FALSE = 5;
/** Bytes a..b are a JSON object or array. */
export const NESTED = 6;
/** A 64-bit signed integer: a is the low word, b the high word. */
export const INT = 7;
/** An IEEE double: a is the low word of its bits, b the high word. */
export const DOUBLE = 8;
/** a is a code in the column's dictionary. */
export const CODE = 9;
/** a is an index into the batch's held values: what a slow path had to make. */
export const HELD = 10;
/** Bytes a..b are opaque (an OTLP bytes value). */
export const BYTES = 11;
/**
 * Bytes a..b are a list or a map as OTLP encodes an AnyValue: well-formed, and all text in it is valid UTF-8. Without
 * bytes it is null.
 */
export const ENCODED = 12;

/** All of them, for modules whose loops ask for them again and again. */
export const kinds = {
  ABSENT,
  TEXT,
  ESCAPED,
  NUMBER,
  TRUE,
  FALSE,
  NESTED,
  INT,
  DOUBLE,
  CODE,
  HELD,
  BYTES,
  ENCODED,
} as const;

const scratch = new DataView(new ArrayBuffer(8));

let columnsMade = 0;

/**
 * Where the cells of a new column begin in its memory. A row is written to twenty columns one after the other; if they all
 * began at the same place of a page, these writes would compete for one set of the processor's cache.
 */
function spread(capacity: number): number {
  return capacity < 512 ? 0 : ((columnsMade++ * 21) % 64) * 64;
}

/**
 * The cells of one field. `kind[row]` says how `a[row]` and `b[row]` are read. A column is written by the parser or
 * processor that adds it and read by whatever comes after; `dictionary` serves CODE cells.
 */
export class Column {
  name = '';
  readonly capacity: number;
  readonly kind: Uint8Array;
  readonly a: Int32Array;
  readonly b: Int32Array;
  dictionary: Dictionary | undefined = undefined;

  constructor(name: string, capacity: number) {
    this.name = name;
    this.capacity = capacity;
    const from = spread(capacity);
    const memory = new ArrayBuffer(from + capacity * 9 + 3 * 64);
    this.a = new Int32Array(memory, from, capacity);
    this.b = new Int32Array(memory, from + capacity * 4 + 64, capacity);
    this.kind = new Uint8Array(memory, from + capacity * 8 + 128, capacity);
  }

  /** Bytes start..end of the batch, read as `kind` says. */
  setSpan(row: number, kind: number, start: number, end: number): void {
    this.kind[row] = kind;
    this.a[row] = start;
    this.b[row] = end;
  }

  /** A safe integer (|value| <= 2^53 - 1). */
  setInt(row: number, value: number): void {
    this.kind[row] = INT;
    this.a[row] = value | 0;
    this.b[row] = Math.floor(value / 4294967296);
  }

  /** A 64-bit integer given as its two words. */
  setInt64(row: number, low: number, high: number): void {
    this.kind[row] = INT;
    this.a[row] = low;
    this.b[row] = high;
  }

  setBigInt(row: number, value: bigint): void {
    this.kind[row] = INT;
    this.a[row] = Number(BigInt.asIntN(32, value));
    this.b[row] = Number(BigInt.asIntN(32, value >> 32n));
  }

  setDouble(row: number, value: number): void {
    scratch.setFloat64(0, value, true);
    this.kind[row] = DOUBLE;
    this.a[row] = scratch.getInt32(0, true);
    this.b[row] = scratch.getInt32(4, true);
  }

  setBoolean(row: number, value: boolean): void {
    this.kind[row] = value ? TRUE : FALSE;
  }

  setCode(row: number, code: number): void {
    this.kind[row] = CODE;
    this.a[row] = code;
  }

  clear(row: number): void {
    this.kind[row] = ABSENT;
  }

  /** The integer of an INT cell, exact below 2^53. */
  intAt(row: number): number {
    return this.b[row]! * 4294967296 + (this.a[row]! >>> 0);
  }

  bigIntAt(row: number): bigint {
    return (BigInt(this.b[row]!) << 32n) | BigInt(this.a[row]! >>> 0);
  }

  doubleAt(row: number): number {
    scratch.setInt32(0, this.a[row]!, true);
    scratch.setInt32(4, this.b[row]!, true);
    return scratch.getFloat64(0, true);
  }
}

/** The distinct values of a column with few of them. Codes are dense, from 0; a value is never changed or removed. */
export class Dictionary {
  readonly values: AnyValue[] = [];
  /** Slots for what exporters keep per value (encoded bytes): one array per exporter kind, filled by them. */
  readonly encoded = new Map<string, Buffer[]>();
  readonly #codes = new Map<AnyValue, number>();

  /** The code of a value; scalars are found again, lists and maps get a new code each time. */
  code(value: AnyValue): number {
    const known = this.#codes.get(value);
    if (known !== undefined) return known;
    const code = this.values.length;
    this.values.push(value);
    this.#codes.set(value, code);
    return code;
  }

  /** Adds a value under the next code even if it is known: for copies, whose codes must not change. */
  append(value: AnyValue): void {
    this.#codes.set(value, this.values.length);
    this.values.push(value);
  }

  get size(): number {
    return this.values.length;
  }
}
