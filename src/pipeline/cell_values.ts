// Cells decoded: what a row's bytes, words and codes say.

import { readAnyValue } from './any_value_reader.ts';
import {
  BYTES,
  CODE,
  type Column,
  DOUBLE,
  ENCODED,
  ESCAPED,
  FALSE,
  INT,
  NESTED,
  NUMBER,
  TEXT,
  TRUE,
} from './column.ts';
import type { AnyValue } from './record.ts';

/** The value of a cell that is not HELD; undefined when it is ABSENT. Invalid UTF-8 becomes U+FFFD. */
export function cellValue(bytes: Buffer, column: Column, row: number): AnyValue | undefined {
  const a = column.a[row]!;
  const b = column.b[row]!;
  switch (column.kind[row]) {
    case TEXT:
      return bytes.utf8Slice(a, b);
    case ESCAPED:
      return unescapeJson(bytes, a, b);
    case NUMBER:
      return numberOf(bytes.latin1Slice(a, b));
    case TRUE:
      return true;
    case FALSE:
      return false;
    case NESTED:
      return parseNested(bytes.utf8Slice(a, b));
    case INT: {
      const value = column.intAt(row);
      return Number.isSafeInteger(value) ? value : column.bigIntAt(row);
    }
    case DOUBLE:
      return column.doubleAt(row);
    case CODE:
      return column.dictionary?.values[a];
    case BYTES:
      return new Uint8Array(bytes.subarray(a, b));
    case ENCODED:
      return readAnyValue(bytes, a, b);
    default:
      return undefined;
  }
}

/** The number that bytes[start, end) spell; NaN when they spell none. */
export function spelledNumber(bytes: Buffer, start: number, end: number): number {
  if (end - start <= 15 && end > start) {
    let value = 0;
    let at = start;
    for (; at < end; at++) {
      const digit = bytes[at]! - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === end) return value;
  }
  const text = bytes.latin1Slice(start, end).trim();
  return text === '' ? Number.NaN : Number(text);
}

function unescapeJson(bytes: Buffer, start: number, end: number): string {
  const text = bytes.utf8Slice(start, end);
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    // A scanner let an invalid escape pass: the text as written says more than nothing.
    return text;
  }
}

function numberOf(text: string): AnyValue {
  const value = Number(text);
  if (Number.isSafeInteger(value) || !/^-?\d+$/.test(text)) return value;
  return BigInt(text);
}

function parseNested(text: string): AnyValue {
  try {
    return JSON.parse(text) as AnyValue;
  } catch {
    return text;
  }
}

/** A value as text: lists join with a comma, maps are compact JSON, bytes are base64. */
export function textOf(value: AnyValue): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map((item) => textOf(item as AnyValue)).join(',');
  if (typeof value === 'object') return JSON.stringify(value, jsonSafe);
  return String(value);
}

/** A JSON.stringify replacer for AnyValue: bigints become strings as in OTLP/JSON, bytes become base64. */
export function jsonSafe(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}
