// The language of START_TIME and its kin: what absl::FormatTime knows (strftime in the C locale and %E…), and Envoy's own
// %s (seconds since 1970) and %f %1f..%9f (digits of the fraction). Fractions are cut, not rounded.

import { FormatError } from './format_error.ts';

/** One piece of a time format; `width` is -1 when it varies. `fraction` pieces differ within a second. */
export type TimePart =
  | { readonly kind: 'literal'; readonly text: string; readonly width: number }
  | {
      readonly kind: 'field';
      readonly letter: string;
      readonly flag: string;
      readonly width: number;
    }
  | { readonly kind: 'seconds'; readonly digits: number; readonly width: number }
  | { readonly kind: 'fraction'; readonly digits: number; readonly width: number };

export type TimeFormat = {
  /** As written; '' when the default was meant. */
  readonly source: string;
  readonly local: boolean;
  /** Whether it prints RFC 3339 in UTC with three digits: Envoy's default. */
  readonly isDefault: boolean;
  readonly parts: readonly TimePart[];
};

/** The digits of `%E*S`, `%E*f` and `%*f`: as many as are not zero. */
export const asNeeded = -1;

const newline = /%[-_0^#]*[1-9]*(E|O)?n/;
const utcDefault = '%Y-%m-%dT%H:%M:%E3SZ';
const localDefault = '%Y-%m-%dT%H:%M:%E3S%z';

/** Reads a time format; an empty one is the default. Throws FormatError. */
export function compileTimeFormat(source: string, local: boolean): TimeFormat {
  if (newline.test(source)) {
    throw new FormatError('Invalid header configuration. Format string contains newline.');
  }
  const text = source === '' ? (local ? localDefault : utcDefault) : source;
  return { source, local, isDefault: text === utcDefault && !local, parts: partsOf(text) };
}

const specifier =
  /%(?:(?<percent>%)|(?<epoch>s)|(?<fraction>[1-9*]?)f|E(?<ed>[1-9]\d?|\*)(?<ek>[Sf])|E(?<ez>\*?)z|E(?<e4>4Y)|E(?<et>T)|(?:[EO]?)(?<flag>[-_0^#]?)(?<letter>[a-zA-Z+]))/y;

function partsOf(text: string): TimePart[] {
  const parts: TimePart[] = [];
  let literal = '';
  const flush = (): void => {
    if (literal !== '') parts.push({ kind: 'literal', text: literal, width: byteLength(literal) });
    literal = '';
  };
  for (let at = 0; at < text.length; ) {
    specifier.lastIndex = at;
    const match = text[at] === '%' ? specifier.exec(text) : null;
    const part = match === null ? undefined : partOf(match.groups ?? {});
    if (match === null || part === undefined) literal += match?.[0] ?? text[at];
    else if (part.kind === 'literal') literal += part.text;
    else {
      flush();
      parts.push(part);
    }
    at += match?.[0].length ?? 1;
  }
  flush();
  return parts;
}

const byteLength = (text: string): number => Buffer.byteLength(text);

function partOf(groups: Record<string, string | undefined>): TimePart | undefined {
  if (groups['percent'] !== undefined) return { kind: 'literal', text: '%', width: 1 };
  if (groups['epoch'] !== undefined) return field('s', '');
  if (groups['fraction'] !== undefined) {
    return fraction(groups['fraction'] === '' ? 9 : digitsOf(groups['fraction']));
  }
  const digits = groups['ed'];
  if (digits !== undefined) {
    if (groups['ek'] === 'f') return fraction(digitsOf(digits));
    const count = digitsOf(digits);
    return { kind: 'seconds', digits: count, width: count === asNeeded ? -1 : 3 + count };
  }
  if (groups['ez'] !== undefined) return field(groups['ez'] === '*' ? 'E*z' : 'Ez', '');
  if (groups['e4'] !== undefined) return field('Y', '');
  if (groups['et'] !== undefined) return { kind: 'literal', text: 'T', width: 1 };
  const letter = groups['letter'] ?? '';
  return widths[letter] === undefined ? undefined : field(letter, groups['flag'] ?? '');
}

const digitsOf = (text: string): number => (text === '*' ? asNeeded : Math.min(15, Number(text)));

function fraction(digits: number): TimePart {
  return { kind: 'fraction', digits, width: digits };
}

function field(letter: string, flag: string): TimePart {
  const width = flag === '-' ? -1 : (widths[letter] ?? -1);
  return { kind: 'field', letter, flag, width };
}

/** Bytes that each letter prints; -1 when that varies. */
const widths: Readonly<Record<string, number>> = {
  a: 3,
  A: -1,
  b: 3,
  B: -1,
  c: 24,
  C: 2,
  d: 2,
  D: 8,
  e: 2,
  F: 10,
  g: 2,
  G: 4,
  h: 3,
  H: 2,
  I: 2,
  j: 3,
  k: 2,
  l: 2,
  m: 2,
  M: 2,
  n: 1,
  p: 2,
  P: 2,
  r: 11,
  R: 5,
  s: -1,
  S: 2,
  t: 1,
  T: 8,
  u: 1,
  U: 2,
  V: 2,
  w: 1,
  W: 2,
  x: 8,
  X: 8,
  y: 2,
  Y: 4,
  z: 5,
  Z: -1,
  Ez: 6,
  'E*z': 9,
};
