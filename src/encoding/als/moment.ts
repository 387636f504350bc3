// google.protobuf's Duration and Timestamp: seconds and nanoseconds.

import { ProtobufReader, VARINT } from '../otlp/reader.ts';

/** What the last `readMoment` that returned true has found. */
export const moment = { seconds: 0, nanos: 0 };

const secondsMax = 9_223_372_036;
const reader = new ProtobufReader(Buffer.alloc(0));

/** Reads the Duration or Timestamp in bytes[start, end). False: it is malformed, or longer than 64 bits of nanoseconds. */
export function readMoment(bytes: Buffer, start: number, end: number): boolean {
  let at = start;
  let seconds = 0;
  let nanos = 0;
  // Seconds, then nanoseconds, both positive: how every encoder writes them.
  if (at < end && bytes[at] === 0x08) {
    at++;
    // Negative seconds take ten bytes.
    for (let scale = 1; at < end && scale < 2 ** 42; scale *= 128) {
      const byte = bytes[at++]!;
      seconds += (byte & 127) * scale;
      if (byte < 128) break;
    }
  }
  if (at < end && bytes[at] === 0x10) {
    at++;
    for (let shift = 0; at < end && shift < 35; shift += 7) {
      const byte = bytes[at++]!;
      nanos |= (byte & 127) << shift;
      if (byte < 128) break;
    }
  }
  if (at === end && (end === start || bytes[end - 1]! < 128)) {
    moment.seconds = seconds;
    moment.nanos = nanos;
    return seconds <= secondsMax && nanos >= 0 && nanos < 1e9;
  }
  return readAny(bytes, start, end);
}

function readAny(bytes: Buffer, start: number, end: number): boolean {
  reader.bytes = bytes;
  reader.bad = false;
  reader.enter(start, end);
  moment.seconds = 0;
  moment.nanos = 0;
  while (reader.next()) {
    if (reader.wireType !== VARINT) continue;
    if (reader.field === 1) moment.seconds = reader.int;
    else if (reader.field === 2) moment.nanos = reader.int;
  }
  const { seconds, nanos } = moment;
  return !reader.bad && Math.abs(seconds) <= secondsMax && Math.abs(nanos) < 1e9;
}
