// CEL's values outside of the fast paths: whole numbers are bigints, other numbers are doubles. An operation that
// cannot be done gives FAULT, which `||` and `&&` may absorb.

import type { AnyValue } from '../../../pipeline/record.ts';
import { formatTime, parsedTime, parseTime } from '../../../pipeline/time.ts';

/** A length of time; milliseconds, with a fraction. */
export class Duration {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
}

/** A point in time; milliseconds since 1970, with a fraction. */
export class Timestamp {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
}

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Duration
  | Timestamp
  | readonly Value[]
  | ReadonlyMap<Value, Value>;

/** What CEL calls an error value. */
export const FAULT = Symbol('fault');
export type Result = Value | typeof FAULT;

/** A value of a record as CEL sees it: a JSON object becomes a map, a whole number an int. */
export function celValue(value: AnyValue | undefined): Result {
  if (value === undefined) return FAULT;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: AnyValue) => celValue(item) as Value);
  return new Map(Object.entries(value).map(([key, item]) => [key, celValue(item) as Value]));
}

/** The number of anything that compares as one: durations and times in milliseconds. NaN: it is none. */
export function numeric(value: Result): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  return value instanceof Duration || value instanceof Timestamp ? value.ms : Number.NaN;
}

/** Equality across numeric types; values of different kinds are unequal. */
export function equal(left: Value, right: Value): boolean {
  if (left === right) return true;
  if (left === null || right === null) return false;
  const l = numeric(left);
  const r = numeric(right);
  if (!Number.isNaN(l) && !Number.isNaN(r)) return l === r && comparable(left, right);
  if (typeof left !== 'object' || typeof right !== 'object') return false;
  if (left instanceof Uint8Array) return right instanceof Uint8Array && sameBytes(left, right);
  if (Array.isArray(left)) {
    return (
      Array.isArray(right) &&
      left.length === right.length &&
      left.every((item: Value, i) => equal(item, right[i] as Value))
    );
  }
  if (!(left instanceof Map) || !(right instanceof Map) || left.size !== right.size) return false;
  for (const [key, item] of left as ReadonlyMap<Value, Value>) {
    const other = lookup(right as ReadonlyMap<Value, Value>, key);
    if (other === undefined || !equal(item, other)) return false;
  }
  return true;
}

/** Plain numbers compare with durations (as milliseconds), never with times. */
function comparable(left: Value, right: Value): boolean {
  return left instanceof Timestamp === right instanceof Timestamp;
}

/** Negative, zero or positive; NaN when the two have no order. */
export function compare(left: Value, right: Value): number {
  if (typeof left === 'string' && typeof right === 'string') {
    return left === right ? 0 : Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right);
  if (!comparable(left, right)) return Number.NaN;
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    return left < right ? -1 : left > right ? 1 : 0;
  }
  return numeric(left) - numeric(right);
}

/** The entry of a map; keys that are equal numbers are one key. */
export function lookup(map: ReadonlyMap<Value, Value>, key: Value): Value | undefined {
  const found = map.get(key);
  if (found !== undefined || (typeof key !== 'number' && typeof key !== 'bigint')) return found;
  for (const [other, item] of map) if (equal(other, key)) return item;
  return undefined;
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of `1h30m`, `-1.5s`, `0`; NaN when the text is no duration. */
export function durationMs(text: string): number {
  const [, sign, rest] = /^([-+]?)(.*)$/s.exec(text) ?? [];
  if (rest === '0') return 0;
  const parts = rest?.match(/(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)/g) ?? null;
  if (parts === null || parts.join('') !== rest) return Number.NaN;
  let sum = 0;
  for (const part of parts) {
    sum += Number.parseFloat(part) * units[part.replace(/^[\d.]+/, '')]!;
  }
  return sign === '-' ? -sum : sum;
}

/** Milliseconds since 1970 of an RFC 3339 text with a zone; NaN when it is none. */
export function timestampMs(text: string): number {
  const bytes = Buffer.from(text);
  if (!/(?:Z|[-+]\d\d:\d\d)$/i.test(text) || !parseTime(bytes, 0, bytes.length)) return Number.NaN;
  return parsedTime.seconds * 1000 + parsedTime.nanos / 1e6;
}

/** RFC 3339 text in UTC with no more digits than needed. */
export function timestampText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  // Doubles of this size carry a quarter of a microsecond: what is below is noise.
  const micros = Math.round((ms - seconds * 1000) * 1000);
  return formatTime(BigInt(seconds) * 1_000_000_000n + BigInt(micros) * 1000n, 0);
}

/** A duration as CEL and protobuf's JSON write it: `1.5s`. */
export function durationText(ms: number): string {
  return `${Number((ms / 1000).toFixed(9))}s`;
}
