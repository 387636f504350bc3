// AnyValue as OTLP has it in protobuf, as JavaScript values: for resources, lists and maps.

import { FIXED64, LENGTH_DELIMITED, ProtobufReader, VARINT } from './protobuf_reader.ts';
import type { AnyValue, Attributes } from './record.ts';

/** Deeper than anybody nests by intent; a hostile sender must not exhaust the stack. */
const depthMax = 64;

/** Thrown out of the recursion, never out of this file. */
const malformed = new Error('not an AnyValue');

/** The AnyValue in bytes start..end, null when it is empty; undefined when it is malformed or nested too deeply. */
export function readAnyValue(bytes: Buffer, start: number, end: number): AnyValue | undefined {
  try {
    return valueIn(bytes, start, end, 0);
  } catch (error) {
    if (error === malformed) return undefined;
    throw error;
  }
}

/** The KeyValues that `field` of the message in bytes start..end repeats; undefined when it is malformed. */
export function readKeyValues(
  bytes: Buffer,
  start: number,
  end: number,
  field: number,
): Attributes | undefined {
  try {
    return pairsIn(bytes, start, end, field, 0);
  } catch (error) {
    if (error === malformed) return undefined;
    throw error;
  }
}

function valueIn(bytes: Buffer, start: number, end: number, depth: number): AnyValue {
  if (depth > depthMax) throw malformed;
  const reader = new ProtobufReader(bytes, start, end);
  let value: AnyValue = null;
  while (reader.next()) {
    if (reader.wireType !== wireTypes[reader.field]) continue;
    value = fieldValue(reader, depth);
  }
  if (reader.bad) throw malformed;
  return value;
}

/** Wire type by field number; others are unknown and skipped. */
const wireTypes = [
  -1,
  LENGTH_DELIMITED,
  VARINT,
  VARINT,
  FIXED64,
  LENGTH_DELIMITED,
  LENGTH_DELIMITED,
  LENGTH_DELIMITED,
];

function fieldValue(reader: ProtobufReader, depth: number): AnyValue {
  const { bytes, start, stop } = reader;
  switch (reader.field) {
    case 1:
      return bytes.utf8Slice(start, stop);
    case 2:
      return reader.low !== 0 || reader.high !== 0;
    case 3:
      return Number.isSafeInteger(reader.int)
        ? reader.int
        : BigInt.asIntN(64, (BigInt(reader.high) << 32n) | BigInt(reader.low));
    case 4:
      return bytes.readDoubleLE(reader.at - 8);
    case 5:
      return listIn(bytes, start, stop, depth + 1);
    case 6:
      return pairsIn(bytes, start, stop, 1, depth + 1);
    default:
      // No Buffer: JSON.stringify would spell it out before anybody could make it base64.
      return new Uint8Array(bytes.subarray(start, stop));
  }
}

function listIn(bytes: Buffer, start: number, end: number, depth: number): AnyValue[] {
  const reader = new ProtobufReader(bytes, start, end);
  const list: AnyValue[] = [];
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === LENGTH_DELIMITED) {
      list.push(valueIn(bytes, reader.start, reader.stop, depth));
    }
  }
  if (reader.bad) throw malformed;
  return list;
}

function pairsIn(
  bytes: Buffer,
  start: number,
  end: number,
  field: number,
  depth: number,
): Attributes {
  const reader = new ProtobufReader(bytes, start, end);
  const pairs: Record<string, AnyValue> = {};
  while (reader.next()) {
    if (reader.field !== field || reader.wireType !== LENGTH_DELIMITED) continue;
    const pair = new ProtobufReader(bytes, reader.start, reader.stop);
    let key = '';
    let value: AnyValue = null;
    while (pair.next()) {
      if (pair.wireType !== LENGTH_DELIMITED) continue;
      if (pair.field === 1) key = bytes.utf8Slice(pair.start, pair.stop);
      else if (pair.field === 2) value = valueIn(bytes, pair.start, pair.stop, depth);
    }
    if (pair.bad) throw malformed;
    if (key === '__proto__') continue;
    pairs[key] = value;
  }
  if (reader.bad) throw malformed;
  return pairs;
}
