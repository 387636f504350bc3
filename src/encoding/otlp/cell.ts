// One cell of a batch as an AnyValue. Text is copied as bytes, numbers keep their type; what has to be decoded first
// goes through any_value.ts.

import { isUtf8 } from 'node:buffer';
import type { Batch } from '../../pipeline/batch.ts';
import {
  BYTES,
  CODE,
  type Column,
  type Dictionary,
  DOUBLE,
  ENCODED,
  FALSE,
  INT,
  NESTED,
  NUMBER,
  TEXT,
  TRUE,
} from '../../pipeline/column.ts';
import {
  BINARY,
  BOOL,
  depthMax,
  FLOAT64,
  INT64,
  putAnyValue,
  putBigInt,
  putNumber,
  STRING,
} from './any_value.ts';
import { ProtobufWriter, varintSize } from './writer.ts';

const empty = Buffer.alloc(1);

/** A cell as an AnyValue behind its length. `view` looks at the bytes of the batch. */
export function putCell(
  out: ProtobufWriter,
  batch: Batch,
  view: DataView,
  column: Column,
  row: number,
): void {
  const a = column.a[row]!;
  const b = column.b[row]!;
  switch (column.kind[row]) {
    case TEXT:
      return putText(out, batch, view, a, b);
    case NUMBER:
      return putDigits(out, batch.bytes, a, b);
    case INT: {
      const mark = out.open(1);
      out.byte(INT64);
      out.varint64(a, b);
      return out.close(mark, 1);
    }
    case DOUBLE:
      out.reserve(10);
      out.byte(9);
      out.byte(FLOAT64);
      return out.fixed64(a, b);
    case CODE:
      return out.put(codeBytes(column.dictionary, a));
    case TRUE:
    case FALSE:
      out.byte(2);
      out.byte(BOOL);
      return out.byte(column.kind[row] === TRUE ? 1 : 0);
    case BYTES:
      return putSpan(out, batch, view, BINARY, a, b);
    case ENCODED:
      out.varint(b - a);
      return out.span(batch.bytes, view, a, b);
    case NESTED:
      if (depthOf(batch.bytes, a, b) > depthMax) return putText(out, batch, view, a, b);
      return putAnyValue(out, batch.value(column, row));
    default:
      return putAnyValue(out, batch.value(column, row));
  }
}

/** Bytes start..end as a string_value; where they are not valid UTF-8, U+FFFD takes their place. */
export function putText(
  out: ProtobufWriter,
  batch: Batch,
  view: DataView,
  start: number,
  end: number,
): void {
  if (batch.isUtf8 || isText(batch.bytes, view, start, end)) {
    putSpan(out, batch, view, STRING, start, end);
  } else putAnyValue(out, batch.bytes.utf8Slice(start, end));
}

function putSpan(
  out: ProtobufWriter,
  batch: Batch,
  view: DataView,
  tag: number,
  start: number,
  end: number,
): void {
  const count = end - start;
  out.varint(1 + varintSize(count) + count);
  out.byte(tag);
  out.varint(count);
  out.span(batch.bytes, view, start, end);
}

/** Whether bytes start..end are valid UTF-8. */
export function isText(bytes: Buffer, view: DataView, start: number, end: number): boolean {
  let seen = 0;
  let i = start;
  for (; i + 4 <= end; i += 4) seen |= view.getInt32(i, true);
  for (; i < end; i++) seen |= bytes[i]!;
  return (seen & 0x80808080) === 0 || isUtf8(bytes.subarray(start, end));
}

/** How deep JSON is nested. */
function depthOf(bytes: Buffer, start: number, end: number): number {
  let depth = 0;
  let deepest = 0;
  for (let i = start; i < end; i++) {
    const c = bytes[i]!;
    if (c === 0x22) {
      for (i++; i < end && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
    } else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return deepest;
}

/** Digits alone are an int_value; a point, an exponent or more than 64 bits make a double_value. */
function putDigits(out: ProtobufWriter, bytes: Buffer, start: number, end: number): void {
  const mark = out.open(1);
  const value = integerOf(bytes, start, end);
  if (value >= 0) {
    out.byte(INT64);
    if (value < 0x80000000) out.varint(value);
    else out.varint64(value | 0, Math.floor(value / 4294967296));
  } else {
    const text = bytes.latin1Slice(start, end);
    if (!/^-?\d+$/.test(text)) {
      out.byte(FLOAT64);
      out.double(Number(text));
    } else if (text.length < 16) putNumber(out, Number(text));
    else putBigInt(out, BigInt(text));
  }
  out.close(mark, 1);
}

/** The value of up to 15 digits, -1 for anything else. */
export function integerOf(bytes: Buffer, start: number, end: number): number {
  if (end - start > 15 || end === start) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** A dictionary's value as an AnyValue behind its length, encoded once. */
export function codeBytes(dictionary: Dictionary | undefined, code: number): Buffer {
  if (dictionary === undefined) return empty;
  let encoded = dictionary.encoded.get('otlp');
  if (encoded === undefined) {
    encoded = [];
    dictionary.encoded.set('otlp', encoded);
  }
  let bytes = encoded[code];
  if (bytes === undefined) {
    bytes = encodeOnce((out) => putAnyValue(out, dictionary.values[code]));
    encoded[code] = bytes;
  }
  return bytes;
}

/** What `write` writes, as a buffer of its own. */
export function encodeOnce(write: (out: ProtobufWriter) => void): Buffer {
  const out = new ProtobufWriter(1024);
  write(out);
  const bytes = Buffer.from(out.bytes());
  out.release();
  return bytes;
}
