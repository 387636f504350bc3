// OTLP/JSON read into protobuf, which the decoder of records then reads.

import { ARRAY, BINARY, BOOL, FLOAT64, INT64, KVLIST, STRING } from './any_value.ts';
import { ProtobufWriter } from './writer.ts';

type Json = Readonly<Record<string, unknown>>;

/** Why a document is no request; never thrown out of this file. */
class Mismatch extends Error {}

const depthMax = 64;

/** The request as protobuf, or what is wrong with it. Unknown keys are passed over; null is nothing. */
export function fromJson(text: string): { readonly bytes: Buffer } | { readonly problem: string } {
  const out = new ProtobufWriter(text.length);
  try {
    putRequest(out, parse(text));
    return { bytes: Buffer.from(out.bytes()) };
  } catch (error) {
    if (error instanceof Mismatch || error instanceof SyntaxError)
      return { problem: error.message };
    throw error;
  } finally {
    out.release();
  }
}

/** JSON.parse, but integers beyond 2^53 stay exact. */
function parse(text: string): unknown {
  if (!/[^"\d.]\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, ((_key: string, value: unknown, context: { source?: string }) =>
    typeof value === 'number' &&
    !Number.isSafeInteger(value) &&
    /^-?\d+$/.test(context.source ?? '')
      ? BigInt(context.source as string)
      : value) as Parameters<typeof JSON.parse>[1]);
}

function putRequest(out: ProtobufWriter, value: unknown): void {
  const request = objectOf(value, 'request');
  for (const item of listOf(request, 'resourceLogs')) {
    const logs = objectOf(item, 'resourceLogs');
    putMessage(out, 0x0a, () => {
      const resource = field(logs, 'resource');
      if (resource !== undefined) {
        putMessage(out, 0x0a, () => putAttributes(out, 0x0a, objectOf(resource, 'resource')));
      }
      for (const scopeLogs of listOf(logs, 'scopeLogs')) {
        putMessage(out, 0x12, () => putScopeLogs(out, objectOf(scopeLogs, 'scopeLogs')));
      }
    });
  }
}

function putScopeLogs(out: ProtobufWriter, logs: Json): void {
  const scope = field(logs, 'scope');
  if (scope !== undefined) {
    putMessage(out, 0x0a, () => {
      const found = objectOf(scope, 'scope');
      putString(out, 0x0a, found, 'name');
      putString(out, 0x12, found, 'version');
      putAttributes(out, 0x1a, found);
    });
  }
  for (const item of listOf(logs, 'logRecords')) {
    putMessage(out, 0x12, () => putRecord(out, objectOf(item, 'logRecords')));
  }
}

function putRecord(out: ProtobufWriter, record: Json): void {
  putNanos(out, 0x09, record, 'timeUnixNano');
  const severity = severityOf(field(record, 'severityNumber'));
  if (severity !== 0) {
    out.byte(0x10);
    out.varint64(severity, severity >> 31);
  }
  putString(out, 0x1a, record, 'severityText');
  const body = field(record, 'body');
  if (body !== undefined) putMessage(out, 0x2a, () => putValue(out, body, 0));
  putAttributes(out, 0x32, record);
  const dropped = uint32Of(record, 'droppedAttributesCount');
  if (dropped !== 0) {
    out.byte(0x38);
    out.varint64(dropped, 0);
  }
  const flags = uint32Of(record, 'flags');
  if (flags !== 0) {
    out.byte(0x45);
    for (let shift = 0; shift < 32; shift += 8) out.byte((flags >>> shift) & 255);
  }
  putId(out, 0x4a, record, 'traceId');
  putId(out, 0x52, record, 'spanId');
  putNanos(out, 0x59, record, 'observedTimeUnixNano');
  putString(out, 0x62, record, 'eventName');
}

function putAttributes(out: ProtobufWriter, tag: number, from: Json): void {
  for (const item of listOf(from, 'attributes')) putMessage(out, tag, () => putPair(out, item, 0));
}

function putPair(out: ProtobufWriter, item: unknown, depth: number): void {
  const pair = objectOf(item, 'KeyValue');
  putString(out, 0x0a, pair, 'key');
  const value = field(pair, 'value');
  if (value !== undefined) putMessage(out, 0x12, () => putValue(out, value, depth));
}

/** The content of an AnyValue. */
function putValue(out: ProtobufWriter, value: unknown, depth: number): void {
  if (depth > depthMax) throw new Mismatch('values are nested too deeply');
  const any = objectOf(value, 'AnyValue');
  if (typeof any['stringValue'] === 'string') {
    // What nearly all values are needs no search for the other kinds.
    out.byte(STRING);
    out.string(any['stringValue']);
    return;
  }
  putString(out, STRING, any, 'stringValue', true);
  const bool = field(any, 'boolValue');
  if (bool !== undefined) {
    if (typeof bool !== 'boolean') throw new Mismatch('boolValue is not a boolean');
    out.byte(BOOL);
    out.byte(bool ? 1 : 0);
  }
  const int = field(any, 'intValue');
  if (int !== undefined) {
    const words = integerOf(int, 'intValue');
    if (BigInt.asIntN(64, words) !== words) throw new Mismatch('intValue is beyond 64 bits');
    out.byte(INT64);
    out.varint64(Number(BigInt.asIntN(32, words)), Number(BigInt.asIntN(32, words >> 32n)));
  }
  const double = field(any, 'doubleValue');
  if (double !== undefined) {
    out.byte(FLOAT64);
    out.double(doubleOf(double));
  }
  const bytes = field(any, 'bytesValue');
  if (bytes !== undefined) putBytes(out, BINARY, base64Of(bytes));
  const array = field(any, 'arrayValue');
  if (array !== undefined) {
    putMessage(out, ARRAY, () => {
      for (const item of listOf(objectOf(array, 'arrayValue'), 'values')) {
        putMessage(out, 0x0a, () => putValue(out, item ?? {}, depth + 1));
      }
    });
  }
  const kvlist = field(any, 'kvlistValue');
  if (kvlist !== undefined) {
    putMessage(out, KVLIST, () => {
      for (const item of listOf(objectOf(kvlist, 'kvlistValue'), 'values')) {
        putMessage(out, 0x0a, () => putPair(out, item, depth + 1));
      }
    });
  }
}

function putMessage(out: ProtobufWriter, tag: number, content: () => void): void {
  out.byte(tag);
  const mark = out.open(1);
  content();
  out.close(mark, 1);
}

function putString(
  out: ProtobufWriter,
  tag: number,
  from: Json,
  name: string,
  evenEmpty = false,
): void {
  const value = field(from, name);
  if (value === undefined) return;
  if (typeof value !== 'string') throw new Mismatch(`${name} is not a string`);
  if (value === '' && !evenEmpty) return;
  out.byte(tag);
  out.string(value);
}

function putBytes(out: ProtobufWriter, tag: number, value: Uint8Array): void {
  out.byte(tag);
  out.varint(value.length);
  out.put(value);
}

function putId(out: ProtobufWriter, tag: number, record: Json, name: string): void {
  const value = field(record, name);
  if (value === undefined || value === '') return;
  if (typeof value !== 'string' || !/^([0-9a-f]{2})+$/i.test(value)) {
    throw new Mismatch(`${name} is not hexadecimal`);
  }
  putBytes(out, tag, Buffer.from(value, 'hex'));
}

function putNanos(out: ProtobufWriter, tag: number, record: Json, name: string): void {
  const value = field(record, name);
  if (value === undefined) return;
  const nanos = integerOf(value, name);
  if (BigInt.asUintN(64, nanos) !== nanos) throw new Mismatch(`${name} is not an unsigned integer`);
  out.byte(tag);
  out.fixed64(Number(BigInt.asIntN(32, nanos)), Number(BigInt.asIntN(32, nanos >> 32n)));
}

const snakeNames = new Map<string, string>();

/** What stands under a name, in lowerCamelCase or as the .proto spells it; null is as if it were not there. */
function field(from: Json, name: string): unknown {
  let value = from[name];
  if (value === undefined) {
    let snake = snakeNames.get(name);
    if (snake === undefined) {
      snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      snakeNames.set(name, snake);
    }
    if (snake !== name) value = from[snake];
  }
  return value === null ? undefined : value;
}

function objectOf(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new Mismatch(`${what} is not an object`);
}

function listOf(from: Json, name: string): readonly unknown[] {
  const value = field(from, name);
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new Mismatch(`${name} is not a list`);
}

/** A whole number, as a number or as decimal text. */
function integerOf(value: unknown, name: string): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) return BigInt(value);
  throw new Mismatch(`${name} is not an integer`);
}

function uint32Of(from: Json, name: string): number {
  const value = field(from, name);
  if (value === undefined) return 0;
  const number = integerOf(value, name);
  if (BigInt.asUintN(32, number) !== number) throw new Mismatch(`${name} is beyond 32 bits`);
  return Number(number);
}

function doubleOf(value: unknown): number {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
  if (typeof value === 'string' && /^(NaN|-?Infinity|-?\d+(\.\d+)?(e[+-]?\d+)?)$/i.test(value)) {
    return Number(value);
  }
  throw new Mismatch('doubleValue is not a number');
}

function base64Of(value: unknown): Uint8Array {
  if (typeof value === 'string' && /^[\w+/-]*={0,2}$/.test(value))
    return Buffer.from(value, 'base64');
  throw new Mismatch('bytesValue is not base64');
}

const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

/** A number, or the name that the .proto gives it: SEVERITY_NUMBER_WARN2. */
function severityOf(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === 'number' && (value | 0) === value) return value;
  const name = /^SEVERITY_NUMBER_(UNSPECIFIED|[A-Z]+)([234]?)$/.exec(String(value));
  if (typeof value === 'string' && name?.[1] === 'UNSPECIFIED') return 0;
  const level = levels.indexOf(name?.[1] ?? '');
  if (typeof value !== 'string' || level < 0) throw new Mismatch('severityNumber is no severity');
  return level * 4 + Number(name?.[2] || 1);
}
