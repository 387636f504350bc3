// Snappy, which some OTLP senders use: the bare block format and the framed one, told apart by the frame's first chunk.
// The checksums of frames are not looked at: TCP and protobuf have their own.

import { DecompressionError, Output } from './output.ts';

const streamIdentifier = Buffer.from('\xff\x06\x00\x00sNaPpY', 'latin1');

/** Throws DecompressionError. */
export function snappyDecompress(input: Buffer, bytesMax: number): Buffer {
  if (!input.subarray(0, streamIdentifier.length).equals(streamIdentifier)) {
    const { value, at } = varint(input, 0, input.length);
    if (value > bytesMax) throw new DecompressionError('too large', 'ERR_BUFFER_TOO_LARGE');
    const out = new Output(bytesMax, value);
    block(input, at, input.length, out);
    if (out.length !== value) throw new DecompressionError('the length is not as announced');
    return out.bytes();
  }
  const out = new Output(bytesMax, input.length * 3);
  for (let at = 0; at < input.length; ) {
    if (at + 4 > input.length) throw new DecompressionError('the data ends in the middle');
    const type = input[at] as number;
    const length = input.readUIntLE(at + 1, 3);
    const start = at + 4;
    at = start + length;
    if (at > input.length) throw new DecompressionError('the data ends in the middle');
    // Types from 128 on are to be skipped, the ones below are to be understood.
    if (type === 0) block(input, varint(input, start + 4, at).at, at, out);
    else if (type === 1) out.literal(input, start + 4, Math.max(at, start + 4));
    else if (type < 128) throw new DecompressionError(`a chunk of unknown type ${type}`);
  }
  return out.bytes();
}

/** Literals and copies up to `end`. */
function block(input: Buffer, from: number, end: number, out: Output): void {
  const begin = out.length;
  for (let at = from; at < end; ) {
    const tag = input[at++] as number;
    const kind = tag & 3;
    if (kind === 0) {
      let length = tag >> 2;
      if (length >= 60) {
        const size = length - 59;
        length = number(input, at, size, end);
        at += size;
      }
      at += length + 1;
      if (at > end) throw new DecompressionError('the data ends in the middle');
      out.literal(input, at - length - 1, at);
      continue;
    }
    const size = kind === 1 ? 1 : kind === 2 ? 2 : 4;
    const low = number(input, at, size, end);
    at += size;
    const distance = kind === 1 ? ((tag >> 5) << 8) | low : low;
    if (distance > out.length - begin) {
      throw new DecompressionError('a copy from before the beginning');
    }
    out.copy(distance, kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1);
  }
}

function number(input: Buffer, at: number, size: number, end: number): number {
  if (at + size > end) throw new DecompressionError('the data ends in the middle');
  return input.readUIntLE(at, size);
}

function varint(input: Buffer, from: number, end: number): { value: number; at: number } {
  let value = 0;
  for (let at = from, shift = 0; at < end && shift < 35; at++, shift += 7) {
    const byte = input[at] as number;
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return { value, at: at + 1 };
  }
  throw new DecompressionError('there is no length');
}
