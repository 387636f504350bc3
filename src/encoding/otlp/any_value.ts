// OpenTelemetry's AnyValue in protobuf, from JavaScript values: the way for what is no span of bytes.

import type { AnyValue } from '../../pipeline/record.ts';
import type { ProtobufWriter } from './writer.ts';

/** Tags of AnyValue's fields. */
export const STRING = 0x0a;
export const BOOL = 0x10;
export const INT64 = 0x18;
export const FLOAT64 = 0x21;
export const ARRAY = 0x2a;
export const KVLIST = 0x32;
export const BINARY = 0x3a;

const LIST_ITEM = 0x0a;
const KEY = 0x0a;
const VALUE = 0x12;

/**
 * Each level is up to three messages deep in protobuf, and decoders give up at a hundred: what lies deeper is sent as
 * JSON text.
 */
export const depthMax = 24;

/** An AnyValue behind its length. */
export function putAnyValue(out: ProtobufWriter, value: AnyValue | undefined, depth = 0): void {
  const mark = out.open(1);
  if (typeof value === 'string') {
    out.byte(STRING);
    out.string(value);
  } else if (typeof value === 'number') putNumber(out, value);
  else if (typeof value === 'bigint') putBigInt(out, value);
  else if (typeof value === 'boolean') {
    out.byte(BOOL);
    out.byte(value ? 1 : 0);
  } else if (value instanceof Uint8Array) {
    out.byte(BINARY);
    out.varint(value.length);
    out.put(value);
  } else if (value !== undefined && value !== null) putNested(out, value, depth);
  out.close(mark, 1);
}

/** A KeyValue behind its length. */
export function putKeyValue(out: ProtobufWriter, key: string, value: AnyValue, depth = 0): void {
  const mark = out.open(1);
  out.byte(KEY);
  out.string(key);
  out.byte(VALUE);
  putAnyValue(out, value, depth);
  out.close(mark, 1);
}

type Nested = readonly AnyValue[] | { readonly [key: string]: AnyValue };

function putNested(out: ProtobufWriter, value: Nested, depth: number): void {
  if (depth >= depthMax) {
    out.byte(STRING);
    out.string(jsonText(value));
    return;
  }
  out.byte(Array.isArray(value) ? ARRAY : KVLIST);
  const mark = out.open(1);
  if (Array.isArray(value)) {
    for (const item of value as readonly AnyValue[]) {
      out.byte(LIST_ITEM);
      putAnyValue(out, item, depth + 1);
    }
  } else {
    for (const [key, item] of Object.entries(value)) {
      out.byte(LIST_ITEM);
      putKeyValue(out, key, item, depth + 1);
    }
  }
  out.close(mark, 1);
}

function jsonText(value: Nested): string {
  try {
    return JSON.stringify(value, (_key, item) =>
      typeof item === 'bigint' ? item.toString() : (item as unknown),
    );
  } catch {
    return 'nested too deeply';
  }
}

/** A whole number is an int_value, any other a double_value. */
export function putNumber(out: ProtobufWriter, value: number): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    out.byte(INT64);
    out.varint64(value | 0, Math.floor(value / 4294967296));
  } else {
    out.byte(FLOAT64);
    out.double(value);
  }
}

/** Beyond 64 bits only a double comes near. */
export function putBigInt(out: ProtobufWriter, value: bigint): void {
  if (BigInt.asIntN(64, value) === value) {
    out.byte(INT64);
    out.varint64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  } else {
    out.byte(FLOAT64);
    out.double(Number(value));
  }
}
