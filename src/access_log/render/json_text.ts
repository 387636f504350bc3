// Structured values as JSON text: keys sorted by their bytes, no spaces, numbers as Envoy spells them.

import type { AnyValue } from '../../pipeline/record.ts';
import { envoyNumber } from './number_text.ts';

/** A value as compact JSON. */
export function jsonText(value: AnyValue | undefined): string {
  if (value === undefined || value === null) return 'null';
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return envoyNumber(value);
    case 'bigint':
      return envoyNumber(Number(value));
    case 'boolean':
      return String(value);
    default:
      break;
  }
  if (value instanceof Uint8Array) return `"${Buffer.from(value).toString('base64')}"`;
  if (Array.isArray(value)) return `[${value.map((item) => jsonText(item as AnyValue)).join(',')}]`;
  const map = value as { readonly [key: string]: AnyValue };
  const keys = Object.keys(map).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${keys.map((key) => `${JSON.stringify(key)}:${jsonText(map[key])}`).join(',')}}`;
}

/** The value that a path leads to; undefined when there is none. */
export function valueAt(
  value: AnyValue | undefined,
  path: readonly string[],
): AnyValue | undefined {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || at instanceof Uint8Array) {
      return undefined;
    }
    const map = at as { readonly [key: string]: AnyValue };
    at = Object.hasOwn(map, key) ? map[key] : undefined;
  }
  return at;
}
