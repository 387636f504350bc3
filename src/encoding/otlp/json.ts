// OTLP/JSON. There is one encoder and one decoder of records, for protobuf; JSON is made from its bytes, and read into
// them (from_json.ts).

import { viewOf } from '../../pipeline/buffers.ts';
import {
  FIXED32,
  FIXED64,
  LENGTH_DELIMITED,
  ProtobufReader,
} from '../../pipeline/protobuf_reader.ts';
import { ByteWriter, type Piece, pieceOf } from '../byte_writer.ts';

type Kind = 'string' | 'bytes' | 'hex' | 'int64' | 'int32' | 'bool' | 'double' | Message;
type Field = {
  readonly kind: Kind;
  readonly repeated: boolean;
  /** What stands before its value, as the first of its message and as a further one. */
  readonly first: Piece;
  readonly further: Piece;
};
/** By number. */
type Message = (Field | undefined)[];

type Rows = readonly (readonly [number: number, name: string, kind: Kind, repeated?: true])[];

function message(rows: Rows): Message {
  const fields: Message = [];
  addFields(fields, rows);
  return fields;
}

function addFields(fields: Message, rows: Rows): void {
  for (const [number, name, kind, repeated = false] of rows) {
    const opening = `"${name}":${repeated ? '[' : ''}`;
    const [first, further] = [pieceOf(`{${opening}`), pieceOf(`,${opening}`)];
    fields[number] = { kind, repeated, first, further };
  }
}

// AnyValue, lists and pairs contain each other, so the table of AnyValue is filled once the others exist.
const anyValue: Message = [];
const keyValue = message([
  [1, 'key', 'string'],
  [2, 'value', anyValue],
]);
const arrayValue = message([[1, 'values', anyValue, true]]);
const kvlistValue = message([[1, 'values', keyValue, true]]);
addFields(anyValue, [
  [1, 'stringValue', 'string'],
  [2, 'boolValue', 'bool'],
  [3, 'intValue', 'int64'],
  [4, 'doubleValue', 'double'],
  [5, 'arrayValue', arrayValue],
  [6, 'kvlistValue', kvlistValue],
  [7, 'bytesValue', 'bytes'],
]);
const scope = message([
  [1, 'name', 'string'],
  [2, 'version', 'string'],
  [3, 'attributes', keyValue, true],
]);
const logRecord = message([
  [1, 'timeUnixNano', 'int64'],
  [2, 'severityNumber', 'int32'],
  [3, 'severityText', 'string'],
  [5, 'body', anyValue],
  [6, 'attributes', keyValue, true],
  [7, 'droppedAttributesCount', 'int32'],
  [8, 'flags', 'int32'],
  [9, 'traceId', 'hex'],
  [10, 'spanId', 'hex'],
  [11, 'observedTimeUnixNano', 'int64'],
  [12, 'eventName', 'string'],
]);
const scopeLogs = message([
  [1, 'scope', scope],
  [2, 'logRecords', logRecord, true],
  [3, 'schemaUrl', 'string'],
]);
const resourceLogs = message([
  [1, 'resource', message([[1, 'attributes', keyValue, true]])],
  [2, 'scopeLogs', scopeLogs, true],
  [3, 'schemaUrl', 'string'],
]);
const request = message([[1, 'resourceLogs', resourceLogs, true]]);

const keyHead = pieceOf('{"key":');
const valueHead = pieceOf(',"value":');
const textHead = pieceOf(',"value":{"stringValue":');
const intHead = pieceOf(',"value":{"intValue":"');
const textTail = pieceOf('}}');
const intTail = pieceOf('"}}');

/** A request of our encoder, as OTLP/JSON without a newline in it. Fields of one kind must stand together. */
export function toJson(protobuf: Buffer): Buffer {
  // About twice as long; what is not touched costs nothing.
  const out = new ByteWriter(protobuf.length * 3 + 1024);
  const view = viewOf(protobuf);
  putMessage(out, new ProtobufReader(protobuf), view, request);
  return out.bytes();
}

/** The message between the reader's place and its end. */
function putMessage(
  out: ByteWriter,
  reader: ProtobufReader,
  view: DataView,
  fields: Message,
): void {
  let open: Field | undefined;
  let first = true;
  while (reader.next()) {
    const field = fields[reader.field];
    if (field === undefined) continue;
    if (field === open) out.byte(0x2c);
    else {
      if (open !== undefined) out.byte(0x5d);
      out.piece(first ? field.first : field.further);
      open = field.repeated ? field : undefined;
      first = false;
    }
    putValue(out, reader, view, field.kind);
  }
  if (first) out.byte(0x7b);
  if (open !== undefined) out.byte(0x5d);
  out.byte(0x7d);
}

function putValue(out: ByteWriter, reader: ProtobufReader, view: DataView, kind: Kind): void {
  const { bytes, start, stop, wireType } = reader;
  if (typeof kind === 'object') {
    if (kind !== keyValue || !putPair(out, reader, view)) putInner(out, reader, view, kind);
    return;
  }
  if (wireType === LENGTH_DELIMITED) {
    if (kind === 'string') out.jsonSpan(bytes, view, start, stop);
    else if (kind === 'hex') putHex(out, bytes, start, stop);
    else out.text(`"${bytes.toString('base64', start, stop)}"`);
    return;
  }
  if (kind === 'bool') out.text(reader.low === 0 ? 'false' : 'true');
  else if (kind === 'int32' || wireType === FIXED32) out.digits(reader.low);
  else if (kind === 'double') out.text(doubleText(bytes.readDoubleLE(reader.at - 8)));
  else {
    out.byte(0x22);
    putInt64(out, reader, wireType === FIXED64);
    out.byte(0x22);
  }
}

/** The message that the reader has just passed; it goes on behind it. */
function putInner(out: ByteWriter, reader: ProtobufReader, view: DataView, kind: Message): void {
  const { stop, end } = reader;
  reader.enter(reader.start, stop);
  putMessage(out, reader, view, kind);
  reader.enter(stop, end);
}

/**
 * The same for a pair of a key and one value in the order and the shortness that nearly all have. False, and nothing is
 * written: it is another one.
 */
function putPair(out: ByteWriter, reader: ProtobufReader, view: DataView): boolean {
  const { bytes, start, stop, end } = reader;
  const keyStop = start + 2 + bytes[start + 1]!;
  if (bytes[start] !== 0x0a || bytes[start + 1]! > 127 || keyStop >= stop) return false;
  if (bytes[keyStop] !== 0x12) return false;
  reader.enter(keyStop, stop);
  const isWhole = reader.next() && reader.at === stop;
  const { start: valueStart } = reader;
  reader.enter(valueStart, stop);
  // A value without content is a null, which has a form of its own.
  const isOne = isWhole && reader.next() && reader.at === stop;
  const simple = isOne && out.pieceAndText(keyHead, view, start + 2, keyStop);
  if (!simple) {
    reader.enter(stop, end);
    reader.start = start;
    reader.stop = stop;
    reader.bad = false;
    return false;
  }
  if (reader.field === 1 && reader.wireType === LENGTH_DELIMITED) {
    const { start: textStart, stop: textStop } = reader;
    if (!out.pieceAndText(textHead, view, textStart, textStop)) {
      out.piece(textHead);
      out.jsonSpan(bytes, view, textStart, textStop);
    }
    out.piece(textTail);
  } else if (reader.field === 3 && reader.wireType === 0) {
    out.piece(intHead);
    putInt64(out, reader, false);
    out.piece(intTail);
  } else {
    out.piece(valueHead);
    reader.enter(valueStart, stop);
    putMessage(out, reader, view, anyValue);
    out.byte(0x7d);
  }
  reader.enter(stop, end);
  return true;
}

function putInt64(out: ByteWriter, { low, high }: ProtobufReader, unsigned: boolean): void {
  if (high < 0x200000) out.digits(high * 4294967296 + low);
  else if (unsigned || high < 0x80000000) {
    // In two parts that numbers can hold exactly: nanoseconds since 1970 are larger than 2^53.
    const rest = (high % million) * 4294967296 + low;
    out.digits(Math.floor(high / million) * 4294967296 + Math.floor(rest / million));
    const last = rest % million;
    for (let unit = million / 10; unit > Math.max(1, last); unit /= 10) out.byte(0x30);
    out.digits(last);
  } else out.text(String(BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low))));
}

const million = 1_000_000;

const hexPairs = Uint16Array.from({ length: 256 }, (_, byte) => {
  const text = byte.toString(16).padStart(2, '0');
  return text.charCodeAt(0) | (text.charCodeAt(1) << 8);
});

function putHex(out: ByteWriter, bytes: Buffer, start: number, stop: number): void {
  out.reserve((stop - start) * 2 + 2);
  const target = out.view;
  let at = out.at;
  target.setUint8(at++, 0x22);
  for (let i = start; i < stop; i++, at += 2) target.setUint16(at, hexPairs[bytes[i]!]!, true);
  target.setUint8(at++, 0x22);
  out.at = at;
}

function doubleText(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value);
  return `"${value}"`;
}
