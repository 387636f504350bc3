// OTLP/JSON. There is one encoder and one decoder of records, for protobuf; JSON is made from its bytes, and read into
// them (from_json.ts).

import { ByteWriter } from '../byte_writer.ts';
import { FIXED32, FIXED64, LENGTH_DELIMITED, ProtobufReader } from './reader.ts';
import { viewOf } from './writer.ts';

type Kind = 'string' | 'bytes' | 'hex' | 'int64' | 'int32' | 'bool' | 'double' | Message;
type Field = { readonly name: string; readonly kind: Kind; readonly repeated?: true };
type Message = { readonly fields: ReadonlyMap<number, Field> };

type Rows = readonly (readonly [number: number, name: string, kind: Kind, repeated?: true])[];

function message(rows: Rows): Message {
  return {
    fields: new Map(
      rows.map(([number, name, kind, repeated]) => [
        number,
        repeated === undefined ? { name, kind } : { name, kind, repeated },
      ]),
    ),
  };
}

// AnyValue, lists and pairs contain each other, so the table of AnyValue is filled once the others exist.
const anyFields = new Map<number, Field>();
const anyValue: Message = { fields: anyFields };
const keyValue = message([
  [1, 'key', 'string'],
  [2, 'value', anyValue],
]);
const arrayValue = message([[1, 'values', anyValue, true]]);
const kvlistValue = message([[1, 'values', keyValue, true]]);
for (const [number, name, kind] of [
  [1, 'stringValue', 'string'],
  [2, 'boolValue', 'bool'],
  [3, 'intValue', 'int64'],
  [4, 'doubleValue', 'double'],
  [5, 'arrayValue', arrayValue],
  [6, 'kvlistValue', kvlistValue],
  [7, 'bytesValue', 'bytes'],
] as const) {
  anyFields.set(number, { name, kind });
}
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

const names = new Map<string, Buffer>();

/** A request of our encoder, as OTLP/JSON without a newline in it. Fields of one kind must stand together. */
export function toJson(protobuf: Buffer): Buffer {
  const out = new ByteWriter(protobuf.length * 2 + 1024);
  const view = viewOf(protobuf);
  putMessage(out, new ProtobufReader(protobuf), view, request);
  return out.bytes();
}

function putMessage(
  out: ByteWriter,
  reader: ProtobufReader,
  view: DataView,
  { fields }: Message,
): void {
  out.byte(0x7b);
  let open: Field | undefined;
  let first = true;
  while (reader.next()) {
    const field = fields.get(reader.field);
    if (field === undefined) continue;
    const goesOn = field === open;
    if (open !== undefined && !goesOn) {
      out.byte(0x5d);
      open = undefined;
    }
    if (!first) out.byte(0x2c);
    first = false;
    if (!goesOn) {
      out.put(nameBytes(field.name));
      if (field.repeated) {
        out.byte(0x5b);
        open = field;
      }
    }
    putValue(out, reader, view, field.kind);
  }
  if (open !== undefined) out.byte(0x5d);
  out.byte(0x7d);
}

function nameBytes(name: string): Buffer {
  let bytes = names.get(name);
  if (bytes === undefined) {
    bytes = Buffer.from(`"${name}":`);
    names.set(name, bytes);
  }
  return bytes;
}

function putValue(out: ByteWriter, reader: ProtobufReader, view: DataView, kind: Kind): void {
  const { bytes, start, stop, wireType } = reader;
  if (typeof kind === 'object') {
    putMessage(out, new ProtobufReader(bytes, start, stop), view, kind);
    return;
  }
  if (wireType === LENGTH_DELIMITED) {
    if (kind === 'string') out.jsonSpan(bytes, view, start, stop);
    else out.text(`"${bytes.toString(kind === 'hex' ? 'hex' : 'base64', start, stop)}"`);
    return;
  }
  if (kind === 'bool') out.text(reader.low === 0 ? 'false' : 'true');
  else if (kind === 'int32' || wireType === FIXED32) out.text(String(reader.low));
  else if (kind === 'double') out.text(doubleText(bytes.readDoubleLE(reader.at - 8)));
  else putInt64(out, reader, wireType === FIXED64);
}

function putInt64(out: ByteWriter, { low, high }: ProtobufReader, unsigned: boolean): void {
  out.byte(0x22);
  if (high < 0x200000) out.digits(high * 4294967296 + low);
  else {
    const value = (BigInt(high) << 32n) | BigInt(low);
    out.text(String(unsigned ? value : BigInt.asIntN(64, value)));
  }
  out.byte(0x22);
}

function doubleText(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value);
  return `"${value}"`;
}
