// Proto-JSON into the bytes of a message, by the schema: the decoder then is the same for both. Lenient as proto-JSON
// readers have to be (either spelling of names, numbers as text, enumerations by name or number) and where YAML examples
// show messages rather than JSON (`start_time: {seconds: 1}`, `tls_cipher_suite: {value: 47}`).

import { parsedTime, parseTime } from '../../pipeline/time.ts';
import type { Enum, Field, Message } from './schema.ts';

type Json = { readonly [key: string]: unknown };

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const depthMax = 32;

/** The bytes of a message. What the schema does not know is left out. */
export function messageBytes(value: Json, message: Message): Buffer {
  const parts: Buffer[] = [];
  for (const [key, item] of Object.entries(value)) {
    const field = message.byName.get(snakeCase(key));
    if (field === undefined || item === null || item === undefined) continue;
    if (!field.repeated) put(parts, field, item);
    else for (const one of Array.isArray(item) ? item : [item]) put(parts, field, one);
  }
  return Buffer.concat(parts);
}

/** `tlsSniHostname` as `tls_sni_hostname`. */
export const snakeCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function put(parts: Buffer[], field: Field, value: unknown): void {
  const { type, number } = field;
  if (typeof type === 'object') {
    if (type.kind === 'enum') parts.push(numeric(number, enumNumber(type, value)));
    else if (isObject(value)) parts.push(span(number, messageBytes(value, type)));
    return;
  }
  switch (type) {
    case 'string':
      return void parts.push(text(number, value));
    case 'uint':
      return void parts.push(numeric(number, integer(value)));
    case 'bool':
      return void parts.push(numeric(number, value === true || value === 'true' ? 1n : 0n));
    case 'double':
      return void parts.push(double(number, Number(value)));
    case 'uint_value':
      return void parts.push(span(number, numeric(1, integer(wrapped(value)))));
    case 'duration':
    case 'timestamp':
      return putMoment(parts, field, value);
    case 'struct':
      return void parts.push(span(number, structBytes(value, 0)));
    case 'any':
      return void parts.push(span(number, anyBytes(value)));
    default:
      return putMap(parts, field, value);
  }
}

function putMap(parts: Buffer[], { number, type }: Field, value: unknown): void {
  if (!isObject(value)) return;
  for (const [key, item] of Object.entries(value)) {
    const content =
      type === 'strings'
        ? text(2, item)
        : span(2, type === 'structs' ? structBytes(item, 0) : anyBytes(item));
    parts.push(span(number, Buffer.concat([text(1, key), content])));
  }
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

const numeric = (field: number, value: bigint): Buffer =>
  Buffer.concat([varint(BigInt(field * 8)), varint(value)]);

const span = (field: number, bytes: Buffer): Buffer =>
  Buffer.concat([varint(BigInt(field * 8 + 2)), varint(BigInt(bytes.length)), bytes]);

const text = (field: number, value: unknown): Buffer =>
  span(field, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([varint(BigInt(field * 8 + 1)), bytes]);
}

const wrapped = (value: unknown): unknown => (isObject(value) ? value['value'] : value);

/** An integer given as a number or as text; 0 when it is none. */
function integer(value: unknown): bigint {
  if (typeof value === 'number') return Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : 0n;
}

function enumNumber(type: Enum, value: unknown): bigint {
  const known = typeof value === 'string' ? type.names.indexOf(value) : -1;
  return known >= 0 ? BigInt(known) : integer(value);
}

function putMoment(parts: Buffer[], { number, type }: Field, value: unknown): void {
  const moment =
    typeof value === 'string'
      ? type === 'duration'
        ? durationOf(value)
        : timestampOf(value)
      : isObject(value)
        ? { seconds: integer(value['seconds']), nanos: integer(value['nanos']) }
        : undefined;
  if (moment === undefined) return;
  const { seconds, nanos } = moment;
  parts.push(span(number, Buffer.concat([numeric(1, seconds), numeric(2, nanos)])));
}

type Moment = { readonly seconds: bigint; readonly nanos: bigint };

/** `0.0323s`, `-1.5s`. */
function durationOf(value: string): Moment | undefined {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?s$/.exec(value);
  if (match === null) return undefined;
  const [, sign, whole = '0', fraction = ''] = match;
  const one = sign === '-' ? -1n : 1n;
  return { seconds: one * BigInt(whole), nanos: one * BigInt(fraction.padEnd(9, '0')) };
}

function timestampOf(value: string): Moment | undefined {
  const bytes = Buffer.from(value);
  if (!parseTime(bytes, 0, bytes.length)) return undefined;
  return { seconds: BigInt(parsedTime.seconds), nanos: BigInt(parsedTime.nanos) };
}

function structBytes(value: unknown, depth: number): Buffer {
  if (!isObject(value) || depth > depthMax) return Buffer.alloc(0);
  return Buffer.concat(
    Object.entries(value).map(([key, item]) =>
      span(1, Buffer.concat([text(1, key), span(2, valueBytes(item, depth + 1))])),
    ),
  );
}

/** A google.protobuf.Value. */
function valueBytes(value: unknown, depth: number): Buffer {
  if (typeof value === 'number') return double(2, value);
  if (typeof value === 'string') return text(3, value);
  if (typeof value === 'boolean') return numeric(4, value ? 1n : 0n);
  if (isObject(value)) return span(5, structBytes(value, depth));
  return Array.isArray(value) && depth <= depthMax
    ? span(6, listBytes(value, depth))
    : numeric(1, 0n);
}

function listBytes(value: unknown, depth: number): Buffer {
  const items = Array.isArray(value) ? value : [];
  return Buffer.concat(items.map((item) => span(1, valueBytes(item, depth + 1))));
}

const wellKnown = 'type.googleapis.com/google.protobuf.';

/**
 * An Any: `{"@type": ..., "value": ...}` of the well-known types, `{type_url, value}` with the bytes in base64. Other
 * types come with their fields spelled out, which is what shall be read again: they travel as a Struct.
 */
function anyBytes(value: unknown): Buffer {
  if (!isObject(value)) return anyOf(`${wellKnown}Value`, valueBytes(value, 0));
  const url = value['type_url'] ?? value['typeUrl'];
  if (typeof url === 'string') {
    return anyOf(url, Buffer.from(String(value['value'] ?? ''), 'base64'));
  }
  const type = String(value['@type'] ?? '');
  const name = /\/google\.protobuf\.(\w+)$/.exec(type)?.[1];
  const bytes = name === undefined ? undefined : knownBytes(name, value['value']);
  if (bytes !== undefined) return anyOf(type, bytes);
  return anyOf(`${wellKnown}Struct`, structBytes(value, 0));
}

const anyOf = (url: string, bytes: Buffer): Buffer => Buffer.concat([text(1, url), span(2, bytes)]);

function knownBytes(name: string, value: unknown): Buffer | undefined {
  switch (name) {
    case 'Struct':
      return structBytes(value, 0);
    case 'Value':
      return valueBytes(value, 0);
    case 'ListValue':
      return listBytes(value, 0);
    case 'StringValue':
      return text(1, value ?? '');
    case 'BytesValue':
      return span(1, Buffer.from(String(value ?? ''), 'base64'));
    case 'BoolValue':
      return numeric(1, value === true ? 1n : 0n);
    case 'Int32Value':
    case 'Int64Value':
    case 'UInt32Value':
    case 'UInt64Value':
      return numeric(1, integer(value));
    case 'DoubleValue':
      return double(1, Number(value));
    default:
      return undefined;
  }
}
