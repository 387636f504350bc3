// google.protobuf's Struct, Value, ListValue and Any as plain values.

import {
  FIXED32,
  FIXED64,
  LENGTH_DELIMITED,
  ProtobufReader,
  VARINT,
} from '../../pipeline/protobuf_reader.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { readFlatNode } from './flat_node.ts';

const depthMax = 32;
const typePrefix = /^.*\/google\.protobuf\./;

/** The Struct in bytes[start, end); undefined when it is malformed or nested too deep. */
export function readStruct(
  bytes: Buffer,
  start: number,
  end: number,
  depth = 0,
): Record<string, AnyValue> | undefined {
  if (depth > depthMax) return undefined;
  const pairs: [string, AnyValue][] = [];
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== LENGTH_DELIMITED) continue;
    let key = '';
    let value: AnyValue | undefined = null;
    const pair = new ProtobufReader(bytes, reader.start, reader.stop);
    while (pair.next()) {
      if (pair.wireType !== LENGTH_DELIMITED) continue;
      if (pair.field === 1) key = bytes.utf8Slice(pair.start, pair.stop);
      else if (pair.field === 2) value = readValue(bytes, pair.start, pair.stop, depth + 1);
    }
    if (pair.bad || value === undefined) return undefined;
    pairs.push([key, value]);
  }
  return reader.bad ? undefined : Object.fromEntries(pairs);
}

/** A Value. One that says nothing is null. */
function readValue(bytes: Buffer, start: number, end: number, depth: number): AnyValue | undefined {
  let value: AnyValue | undefined = null;
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    const { field, wireType } = reader;
    if (field === 2 && wireType === FIXED64) value = doubleOf(reader);
    else if (field === 4 && wireType === VARINT) value = reader.low !== 0;
    else if (wireType !== LENGTH_DELIMITED) continue;
    else if (field === 3) value = bytes.utf8Slice(reader.start, reader.stop);
    else if (field === 5) value = readStruct(bytes, reader.start, reader.stop, depth + 1);
    else if (field === 6) value = readList(bytes, reader.start, reader.stop, depth + 1);
    if (value === undefined) return undefined;
  }
  return reader.bad ? undefined : value;
}

function readList(
  bytes: Buffer,
  start: number,
  end: number,
  depth: number,
): AnyValue[] | undefined {
  if (depth > depthMax) return undefined;
  const items: AnyValue[] = [];
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== LENGTH_DELIMITED) continue;
    const item = readValue(bytes, reader.start, reader.stop, depth + 1);
    if (item === undefined) return undefined;
    items.push(item);
  }
  return reader.bad ? undefined : items;
}

/** A double as JSON can say it: what is no number is its name, as proto-JSON has it. */
function doubleOf(reader: ProtobufReader): AnyValue {
  scratch.setUint32(0, reader.low, true);
  scratch.setUint32(4, reader.high, true);
  const value = scratch.getFloat64(0, true);
  return Number.isFinite(value) ? value : String(value);
}

function floatOf(reader: ProtobufReader): AnyValue {
  scratch.setUint32(0, reader.low, true);
  const value = scratch.getFloat32(0, true);
  return Number.isFinite(value) ? value : String(value);
}

const scratch = new DataView(new ArrayBuffer(8));

/**
 * The Any in bytes[start, end): what a well-known type wraps, the peer in an older Istio's FlatBuffer, or, of other types,
 * the type and its bytes. Undefined: it is malformed.
 */
export function readAny(bytes: Buffer, start: number, end: number): AnyValue | undefined {
  let type = '';
  let from = end;
  let to = end;
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    if (reader.wireType !== LENGTH_DELIMITED) continue;
    if (reader.field === 1) type = bytes.utf8Slice(reader.start, reader.stop);
    else if (reader.field === 2) {
      from = reader.start;
      to = reader.stop;
    }
  }
  if (reader.bad) return undefined;
  const known = readKnown(type.replace(typePrefix, ''), bytes, from, to);
  if (known !== undefined) return known;
  return { '@type': type, value: bytes.toString('base64', from, to) };
}

function readKnown(name: string, bytes: Buffer, start: number, end: number): AnyValue | undefined {
  if (name === 'Struct') return readStruct(bytes, start, end);
  if (name === 'Value') return readValue(bytes, start, end, 0);
  if (name === 'ListValue') return readList(bytes, start, end, 0);
  const wrapped = wrappers[name];
  if (wrapped === undefined) return undefined;
  const reader = new ProtobufReader(bytes, start, end);
  let value: AnyValue = wrapped.empty;
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === wrapped.wire) value = wrapped.read(reader, bytes);
  }
  return reader.bad ? undefined : value;
}

type Wrapper = {
  readonly wire: number;
  readonly empty: AnyValue;
  readonly read: (reader: ProtobufReader, bytes: Buffer) => AnyValue;
};

const integer = (reader: ProtobufReader): AnyValue => {
  const value = reader.int;
  if (Number.isSafeInteger(value)) return value;
  return (BigInt(reader.high | 0) << 32n) | BigInt(reader.low);
};

const natural = (reader: ProtobufReader): AnyValue => {
  const value = reader.high * 4294967296 + reader.low;
  return Number.isSafeInteger(value) ? value : (BigInt(reader.high) << 32n) | BigInt(reader.low);
};

const wrappers: Readonly<Record<string, Wrapper>> = {
  StringValue: {
    wire: LENGTH_DELIMITED,
    empty: '',
    read: (reader, bytes) => bytes.utf8Slice(reader.start, reader.stop),
  },
  BytesValue: {
    wire: LENGTH_DELIMITED,
    empty: new Uint8Array(0),
    read: (reader, bytes) =>
      readFlatNode(bytes, reader.start, reader.stop) ??
      Uint8Array.prototype.slice.call(bytes, reader.start, reader.stop),
  },
  BoolValue: { wire: VARINT, empty: false, read: (reader) => reader.low !== 0 },
  Int32Value: { wire: VARINT, empty: 0, read: integer },
  Int64Value: { wire: VARINT, empty: 0, read: integer },
  UInt32Value: { wire: VARINT, empty: 0, read: natural },
  UInt64Value: { wire: VARINT, empty: 0, read: natural },
  FloatValue: { wire: FIXED32, empty: 0, read: floatOf },
  DoubleValue: { wire: FIXED64, empty: 0, read: doubleOf },
};
