// google.protobuf's Duration and Timestamp: seconds and nanoseconds.

import { ProtobufReader, VARINT } from '../../pipeline/protobuf_reader.ts';
import type { Margin } from './margin.ts';

/** What the last `readMoment` that returned true has found. */
export const moment = { seconds: 0, nanos: 0 };

const secondsMax = 9_223_372_036;
const reader = new ProtobufReader(Buffer.alloc(0));
const found = moment;

/** Of the first four bytes of a varint of 1 to 5 bytes: the bits of its value, and which bytes say that more follow. */
const valueBits = new Int32Array(6);
const moreBits = new Int32Array(6);
const more = new Int32Array(6);
for (let size = 1; size < 6; size++) {
  const bits = size < 4 ? 2 ** (size * 8) - 1 : -1;
  valueBits[size] = bits & 0x7f7f7f7f;
  moreBits[size] = bits & 0x80808080;
  more[size] = (bits & 0x80808080) ^ (size < 5 ? 128 << ((size - 1) * 8) : 0);
}

/** Reads the Duration or Timestamp in bytes[start, end). False: it is malformed, or longer than 64 bits of nanoseconds. */
export function readMoment({ bytes, view }: Margin, start: number, end: number): boolean {
  // Seconds, then nanoseconds, both positive: how every encoder writes them.
  let at = start;
  let seconds = 0;
  if (start < end && bytes[start] === 0x08) {
    seconds = bytes[start + 1]!;
    at += 2;
    if (seconds > 127) {
      const word = view.getInt32(start + 1, true);
      const last = bytes[start + 5]!;
      if ((word & 0x80808080) !== (0x80808080 | 0) || last > 7) return readAny(bytes, start, end);
      seconds = fourBytes(word & 0x7f7f7f7f) | (last << 28);
      at += 4;
    }
  }
  let nanos = 0;
  if (at < end) {
    const size = end - at - 1;
    if (bytes[at] !== 0x10 || size < 1 || size > 5) return readAny(bytes, start, end);
    const word = view.getInt32(at + 1, true);
    if ((word & moreBits[size]!) !== more[size]!) return readAny(bytes, start, end);
    nanos = fourBytes(word & valueBits[size]!);
    if (size === 5) {
      const last = bytes[at + 5]!;
      if (last > 3) return readAny(bytes, start, end);
      nanos |= last << 28;
    }
  } else if (at > end) return readAny(bytes, start, end);
  found.seconds = seconds;
  found.nanos = nanos;
  return nanos < 1e9;
}

/** The value of a varint, of which this word has four times seven bits. */
function fourBytes(word: number): number {
  return (
    (word & 0x7f) | ((word >>> 1) & 0x3f80) | ((word >>> 2) & 0x1fc000) | ((word >>> 3) & 0xfe00000)
  );
}

function readAny(bytes: Buffer, start: number, end: number): boolean {
  reader.bytes = bytes;
  reader.bad = false;
  reader.enter(start, end);
  found.seconds = 0;
  found.nanos = 0;
  while (reader.next()) {
    if (reader.wireType !== VARINT) continue;
    if (reader.field === 1) found.seconds = reader.int;
    else if (reader.field === 2) found.nanos = reader.int;
  }
  const { seconds, nanos } = found;
  return !reader.bad && Math.abs(seconds) <= secondsMax && Math.abs(nanos) < 1e9;
}
