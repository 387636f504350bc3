// The few pieces of JSON that a format-directed reader needs: positions in, positions out, -1 for what is no JSON.

/** Set by `stringEnd`: whether the string holds an escape. */
export const lastString = { escaped: false };

export function skipSpace(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && (bytes[i] === 32 || bytes[i] === 9 || bytes[i] === 13 || bytes[i] === 10)) i++;
  return i;
}

/** From the byte after an opening quote to the closing one. Escapes are checked when they are undone. */
export function stringEnd(bytes: Uint8Array, at: number, end: number): number {
  lastString.escaped = false;
  let i = at;
  while (i < end) {
    const c = bytes[i]!;
    if (c === 34) return i;
    if (c < 32) return -1;
    if (c === 92) {
      lastString.escaped = true;
      i++;
    }
    i++;
  }
  return -1;
}

/** From the first byte of a number, `true`, `false`, `null`, a list or an object to the byte after it. */
export function valueEnd(bytes: Buffer, at: number, end: number): number {
  const c = bytes[at];
  const to = c === 123 || c === 91 ? nestedEnd(bytes, at, end) : scalarEnd(bytes, at, end);
  if (to <= at) return -1;
  // Rare and short, or nested: what is copied into other JSON later has to be right.
  try {
    JSON.parse(bytes.utf8Slice(at, to));
    return to;
  } catch {
    return -1;
  }
}

function scalarEnd(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && !isEnd(bytes[i]!)) i++;
  return i;
}

const isEnd = (c: number): boolean =>
  c === 44 || c === 125 || c === 93 || c === 32 || c === 9 || c === 13 || c === 10;

/** Digits of a plain integer need no closer look. */
export function integerEnd(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && bytes[i]! >= 48 && bytes[i]! <= 57) i++;
  if (i === at || i >= end || (bytes[at] === 48 && i > at + 1)) return -1;
  return isEnd(bytes[i]!) ? i : -1;
}

function nestedEnd(bytes: Uint8Array, at: number, end: number): number {
  let depth = 0;
  for (let i = at; i < end; i++) {
    const c = bytes[i]!;
    if (c === 34) {
      i = stringEnd(bytes, i + 1, end);
      if (i < 0) return -1;
    } else if (c === 123 || c === 91) depth++;
    else if (c === 125 || c === 93) {
      depth--;
      if (depth === 0) return i + 1;
    }
  }
  return -1;
}
