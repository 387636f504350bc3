// Where rendered bytes go, and what is done to them once they are there. Values are written first and then cut, replaced
// or escaped in place, so that no string is made on the way.

import { isUtf8 } from 'node:buffer';

/** A growing buffer: encoding/byte_writer.ts is one. */
export type Out = {
  buffer: Buffer;
  /** The same memory, for reading words; there is slack beyond `at`. */
  view: DataView;
  at: number;
  reserve(count: number): void;
  byte(value: number): void;
  put(piece: Uint8Array): void;
  text(value: string): void;
  span(source: Buffer, view: DataView, start: number, end: number): void;
  /** Valid UTF-8 as a JSON string with its quotes. */
  jsonSpan(source: Buffer, view: DataView, start: number, end: number): void;
  digits(value: number): void;
};

/** Bytes that are written again and again, copied by words. */
export type Constant = { readonly bytes: Buffer; readonly view: DataView; readonly length: number };

export function constant(text: string): Constant {
  const length = Buffer.byteLength(text);
  const bytes = Buffer.alloc(length + 8);
  bytes.write(text);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), length };
}

export function putConstant(out: Out, { bytes, view, length }: Constant): void {
  if (length > 0) out.span(bytes, view, 0, length);
}

/** Cuts what was written since `from` to at most `length` bytes. */
export function cut(out: Out, from: number, length: number | undefined): void {
  if (length !== undefined && out.at - from > length) out.at = from + length;
}

/** Cuts what was written since `from` before the first `byte`. */
export function cutBefore(out: Out, from: number, byte: number): void {
  const at = out.buffer.indexOf(byte, from);
  if (at >= 0 && at < out.at) out.at = at;
}

/** Writes `_` for every byte since `from` that `bad` has. */
export function underscores(out: Out, from: number, bad: Uint8Array): void {
  const { buffer, at } = out;
  for (let i = from; i < at; i++) if (bad[buffer[i]!] === 1) buffer[i] = 95;
}

/** What was written since `from`, as a string. */
export function written(out: Out, from: number): string {
  return out.buffer.utf8Slice(from, out.at);
}

const plain = 0;
const special = 1;
const high = 2;

/** What JSON has to say about each byte. */
const classes = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 128 ? high : byte < 32 || byte === 34 || byte === 92 ? special : plain,
);

/**
 * Escapes what was written since `from` for the inside of a JSON string, as Envoy does: as little as JSON asks for; but
 * when the bytes are no UTF-8, every byte that is not plain ASCII becomes \u00XX of its own.
 */
export function escapeJson(out: Out, from: number): void {
  const { buffer, at } = out;
  const first = firstUnusual(out, from);
  if (first === at) return;
  let found = plain;
  for (let i = first; i < at; i++) found |= classes[buffer[i]!]!;
  const valid = (found & high) === 0 || isUtf8(buffer.subarray(from, at));
  if (valid && (found & special) === 0) return;
  const bytes = Uint8Array.prototype.slice.call(buffer, from, at);
  out.at = from;
  out.reserve(bytes.length * 6);
  for (const byte of bytes) putEscaped(out, byte, valid);
}

/** The first byte since `from` that is not plain ASCII, looked for four at a time. */
function firstUnusual(out: Out, from: number): number {
  const { buffer, view, at } = out;
  let i = from;
  for (; i + 4 <= at; i += 4) {
    const word = view.getInt32(i, true);
    const quote = word ^ 0x22222222;
    const slash = word ^ 0x5c5c5c5c;
    const found =
      ((quote - 0x01010101) & ~quote) |
      ((slash - 0x01010101) & ~slash) |
      (word - 0x20202020) |
      word;
    if ((found & 0x80808080) !== 0) break;
  }
  while (i < at && classes[buffer[i]!] === plain) i++;
  return i;
}

const hex = Buffer.from('0123456789abcdef');
const shortEscapes = new Map([
  [8, 98],
  [9, 116],
  [10, 110],
  [12, 102],
  [13, 114],
  [34, 34],
  [92, 92],
]);

function putEscaped(out: Out, byte: number, valid: boolean): void {
  const needed = valid ? classes[byte] === special : classes[byte] !== plain || byte === 127;
  const { buffer } = out;
  if (!needed) {
    buffer[out.at++] = byte;
    return;
  }
  buffer[out.at++] = 92;
  const short = valid ? shortEscapes.get(byte) : undefined;
  if (short !== undefined) {
    buffer[out.at++] = short;
    return;
  }
  buffer[out.at++] = 117;
  buffer[out.at++] = 48;
  buffer[out.at++] = 48;
  buffer[out.at++] = hex[byte >> 4]!;
  buffer[out.at++] = hex[byte & 15]!;
}
