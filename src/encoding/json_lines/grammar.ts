// JSON's grammar over bytes, as JSON.parse accepts it, without making values. Each function takes the position where a
// value starts and returns the position after it, or -1 when the bytes are no such value.

/** Containers within containers that are followed: what is nested deeper is refused, not recursed into. */
export const depthMax = 64;

const quote = 34;
const backslash = 92;

/** The first position from `at` on that holds no JSON white space. */
export function skipSpace(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end) {
    const c = bytes[i]!;
    if (c !== 32 && c !== 9 && c !== 10 && c !== 13) break;
    i++;
  }
  return i;
}

/** From the byte after an opening quote to the position of the closing one. */
export function closingQuote(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end) {
    const c = bytes[i]!;
    if (c === quote) return i;
    if (c < 32) return -1;
    if (c === backslash) {
      i = skipEscape(bytes, i, end);
      if (i < 0) return -1;
    } else i++;
  }
  return -1;
}

function skipEscape(bytes: Uint8Array, at: number, end: number): number {
  switch (bytes[at + 1]) {
    case quote:
    case backslash:
    case 47: // slash
    case 98: // b
    case 102: // f
    case 110: // n
    case 114: // r
    case 116: // t
      return at + 2;
    case 117: // u
      for (let i = at + 2; i < at + 6; i++) if (i >= end || !isHexDigit(bytes[i]!)) return -1;
      return at + 6;
    default:
      return -1;
  }
}

function isHexDigit(c: number): boolean {
  const letter = c | 32;
  return (c >= 48 && c <= 57) || (letter >= 97 && letter <= 102);
}

function skipDigits(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && bytes[i]! >= 48 && bytes[i]! <= 57) i++;
  return i;
}

/** A number: no leading zeros, no plus sign, digits on both sides of the point. */
export function skipNumber(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  if (bytes[i] === 45) i++;
  const whole = skipDigits(bytes, i, end);
  if (whole === i || (bytes[i] === 48 && whole > i + 1)) return -1;
  i = whole;
  if (i < end && bytes[i] === 46) {
    const fraction = skipDigits(bytes, i + 1, end);
    if (fraction === i + 1) return -1;
    i = fraction;
  }
  if (i < end && (bytes[i]! | 32) === 101) {
    const sign = bytes[i + 1];
    const from = sign === 43 || sign === 45 ? i + 2 : i + 1;
    const exponent = skipDigits(bytes, from, end);
    if (exponent === from) return -1;
    i = exponent;
  }
  return i;
}

/** `true`, `false` or `null`. */
export function skipLiteral(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at];
  const word = first === 116 ? 'true' : first === 102 ? 'false' : first === 110 ? 'null' : '';
  if (word === '' || at + word.length > end) return -1;
  for (let i = 1; i < word.length; i++) if (bytes[at + i] !== word.charCodeAt(i)) return -1;
  return at + word.length;
}

/** -2 from skipNested: nested deeper than depthMax. */
export const tooDeep = -2;

const closers = new Uint8Array(depthMax);

/** An object or an array with everything in it. */
export function skipNested(bytes: Uint8Array, at: number, end: number): number {
  let depth = 0;
  let i = at;
  // Each turn reads one value, then closes what ends after it and steps over the comma to the next one.
  for (;;) {
    if (i >= end) return -1;
    const c = bytes[i]!;
    if (c === 123 || c === 91) {
      if (depth === depthMax) return tooDeep;
      closers[depth++] = c + 2;
      i = skipSpace(bytes, i + 1, end);
      if (bytes[i] !== c + 2) {
        if (c === 123) i = skipKey(bytes, i, end);
        if (i < 0) return -1;
        continue;
      }
      depth--;
      i++;
    } else i = skipScalar(bytes, i, end);
    if (i < 0) return -1;
    for (;;) {
      if (depth === 0) return i > end ? -1 : i;
      i = skipSpace(bytes, i, end);
      if (i >= end) return -1;
      const next = bytes[i++]!;
      if (next === closers[depth - 1]) {
        depth--;
        continue;
      }
      if (next !== 44) return -1;
      i = skipSpace(bytes, i, end);
      if (closers[depth - 1] === 125) i = skipKey(bytes, i, end);
      if (i < 0) return -1;
      break;
    }
  }
}

function skipScalar(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  const c = bytes[at]!;
  if (c === quote) {
    const close = closingQuote(bytes, at + 1, end);
    return close < 0 ? -1 : close + 1;
  }
  return c === 45 || (c >= 48 && c <= 57)
    ? skipNumber(bytes, at, end)
    : skipLiteral(bytes, at, end);
}

/** From a key's opening quote to the value after the colon. */
function skipKey(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end || bytes[at] !== quote) return -1;
  const close = closingQuote(bytes, at + 1, end);
  if (close < 0) return -1;
  const colon = skipSpace(bytes, close + 1, end);
  if (colon >= end || bytes[colon] !== 58) return -1;
  return skipSpace(bytes, colon + 1, end);
}
