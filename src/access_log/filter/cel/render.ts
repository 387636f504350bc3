// Values of expressions as Envoy's %CEL(...)% and %TYPED_CEL(...)% print them.

import type { AnyValue } from '../../../pipeline/record.ts';
import {
  Duration,
  durationText,
  FAULT,
  type Result,
  Timestamp,
  timestampText,
  type Value,
} from './values.ts';

/** As text; undefined for an error, which prints as an absent value. */
export function celText(value: Result): string | undefined {
  if (value === FAULT) return undefined;
  if (typeof value === 'number') return doubleText(value);
  if (typeof value !== 'object') return String(value);
  if (value === null) return 'null_type value';
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (value instanceof Duration) return spelledDuration(value.ms);
  if (value instanceof Timestamp) {
    return timestampText(value.ms)
      .replace(/(\.\d*?)0*Z$/, '$1Z')
      .replace('Z', '+00:00');
  }
  return Array.isArray(value) ? 'CelList value' : 'CelMap value';
}

/** As a typed value; undefined for an error. */
export function celAny(value: Result): AnyValue | undefined {
  if (value === FAULT) return undefined;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Duration) return durationText(value.ms);
  if (value instanceof Timestamp) return timestampText(value.ms);
  if (Array.isArray(value)) return value.map((item: Value) => celAny(item) ?? null);
  const entries = [...(value as ReadonlyMap<Value, Value>)];
  return Object.fromEntries(entries.map(([key, item]) => [celText(key), celAny(item) ?? null]));
}

/** Six significant digits, as Envoy's string building writes a double. */
function doubleText(value: number): string {
  if (!Number.isFinite(value)) return String(value).replace('Infinity', 'inf').toLowerCase();
  const [mantissa = '', exponent = '0'] = value.toExponential(5).split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(Number(value.toPrecision(6)));
  const sign = power < 0 ? '-' : '+';
  return `${Number(mantissa)}e${sign}${String(Math.abs(power)).padStart(2, '0')}`;
}

/** `1h30m`, `1.5s`, `20ms`, `0`. */
function spelledDuration(ms: number): string {
  if (ms === 0) return '0';
  const sign = ms < 0 ? '-' : '';
  const size = Math.abs(ms);
  if (size < 1000) {
    if (size >= 1) return `${sign}${Number(size.toFixed(6))}ms`;
    return size >= 0.001
      ? `${sign}${Number((size * 1e3).toFixed(3))}us`
      : `${sign}${Math.round(size * 1e6)}ns`;
  }
  const hours = Math.floor(size / 3_600_000);
  const minutes = Math.floor((size % 3_600_000) / 60_000);
  const seconds = Number(((size % 60_000) / 1000).toFixed(9));
  const parts = [hours > 0 ? `${hours}h` : '', minutes > 0 ? `${minutes}m` : ''];
  return `${sign}${parts.join('')}${seconds > 0 ? `${seconds}s` : ''}`;
}
