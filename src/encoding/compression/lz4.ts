// LZ4 frames, which some OTLP senders use. Checksums are not looked at: TCP and protobuf have their own.

import { DecompressionError, Output } from './output.ts';

const magic = 0x184d2204;
const skippableMagic = 0x184d2a5;

/** One frame or several. Throws DecompressionError. */
export function lz4Decompress(input: Buffer, bytesMax: number): Buffer {
  const out = new Output(bytesMax, input.length * 3);
  for (let at = 0; at < input.length; ) {
    const found = uint32(input, at);
    if (found === magic) at = frame(input, at + 4, out);
    else if (found >>> 4 === skippableMagic) at += 8 + uint32(input, at + 4);
    else throw new DecompressionError('this is no LZ4 frame');
    if (at > input.length) throw new DecompressionError('the data ends in the middle');
  }
  return out.bytes();
}

/** Returns the position behind the frame. */
function frame(input: Buffer, from: number, out: Output): number {
  const flags = byteAt(input, from);
  if (flags >> 6 !== 1) throw new DecompressionError('an unknown version of LZ4');
  const isIndependent = (flags & 0x20) !== 0;
  const hasBlockChecksum = (flags & 0x10) !== 0;
  const hasContentSize = (flags & 0x08) !== 0;
  const hasContentChecksum = (flags & 0x04) !== 0;
  if ((flags & 1) !== 0) throw new DecompressionError('LZ4 with a dictionary');
  let at = from + 3 + (hasContentSize ? 8 : 0);
  const begin = out.length;
  for (;;) {
    const size = uint32(input, at);
    at += 4;
    if (size === 0) break;
    const end = at + (size & 0x7fffffff);
    if (end > input.length) throw new DecompressionError('the data ends in the middle');
    if (size >>> 31 === 1) out.literal(input, at, end);
    else block(input, { at, end, begin: isIndependent ? out.length : begin }, out);
    at = end + (hasBlockChecksum ? 4 : 0);
  }
  return at + (hasContentChecksum ? 4 : 0);
}

type Block = { readonly at: number; readonly end: number; readonly begin: number };

function block(input: Buffer, { at: from, end, begin }: Block, out: Output): void {
  for (let at = from; at < end; ) {
    const token = input[at++] as number;
    let literals = token >> 4;
    if (literals === 15) [literals, at] = more(input, at, end, literals);
    if (at + literals > end) throw new DecompressionError('the data ends in the middle');
    out.literal(input, at, at + literals);
    at += literals;
    // The last sequence has literals only.
    if (at === end) return;
    if (at + 2 > end) throw new DecompressionError('the data ends in the middle');
    const distance = input.readUInt16LE(at);
    at += 2;
    let matched = token & 15;
    if (matched === 15) [matched, at] = more(input, at, end, matched);
    if (distance > out.length - begin) {
      throw new DecompressionError('a copy from before the beginning');
    }
    out.copy(distance, matched + 4);
  }
}

/** A length that goes on in further bytes, and the position behind them. */
function more(input: Buffer, from: number, end: number, start: number): [number, number] {
  let length = start;
  for (let at = from; at < end; ) {
    const byte = input[at++] as number;
    length += byte;
    if (byte < 255) return [length, at];
  }
  throw new DecompressionError('the data ends in the middle');
}

function uint32(input: Buffer, at: number): number {
  if (at + 4 > input.length) throw new DecompressionError('the data ends in the middle');
  return input.readUInt32LE(at);
}

function byteAt(input: Buffer, at: number): number {
  const byte = input[at];
  if (byte === undefined) throw new DecompressionError('the data ends in the middle');
  return byte;
}
