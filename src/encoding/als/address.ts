// Addresses as the text that Envoy prints: `ip:port`, `[v6]:port`, a path, `envoy://listener/endpoint`.

import { LENGTH_DELIMITED, ProtobufReader, VARINT } from '../../pipeline/protobuf_reader.ts';
import type { Margin } from './margin.ts';

const internal = Buffer.from('envoy://');
const reader = new ProtobufReader(Buffer.alloc(0));

/** How many bytes the text of an Address of `length` bytes takes at most. */
export const addressBytesMax = (length: number): number => length * 2 + 32;

/** Appends the text of the Address in bytes[start, end): its length, 0 when it names nothing, -1 when it is malformed. */
export function putAddress(margin: Margin, start: number, end: number): number {
  const from = margin.at;
  if (putUsual(margin, start, end)) return margin.at - from;
  margin.at = from;
  reader.bytes = margin.bytes;
  reader.bad = false;
  reader.enter(start, end);
  while (reader.next()) {
    if (reader.wireType !== LENGTH_DELIMITED) continue;
    const { field, at } = reader;
    margin.at = from;
    reader.enter(reader.start, reader.stop);
    if (field === 1) putSocket(margin);
    else if (field === 2) putField(margin, 1);
    else if (field === 3) putInternal(margin);
    reader.enter(at, end);
  }
  return reader.bad ? -1 : margin.at - from;
}

/** A socket address of an IP and a port and nothing else, each in as few bytes as it needs: nearly all are. */
function putUsual(margin: Margin, start: number, end: number): boolean {
  const { bytes, view } = margin;
  const size = bytes[start + 3]!;
  const from = start + 4;
  const stop = from + size;
  if (bytes[start] !== 0x0a || bytes[start + 1] !== end - start - 2) return false;
  if (bytes[start + 2] !== 0x12 || stop >= end || size === 0 || size > 46) return false;
  if (bytes[stop] !== 0x18) return false;
  let port = 0;
  let at = stop + 1;
  for (let shift = 0; shift < 21 && at < end; shift += 7) {
    const byte = bytes[at++]!;
    port |= (byte & 127) << shift;
    if (byte < 128) break;
  }
  if (at !== end || bytes[end - 1]! > 127) return false;
  const to = margin.at;
  // Whether one of the bytes is a colon is asked once at the end.
  let found = 0;
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const word = view.getInt32(from + i, true);
    found |= colons(word);
    view.setInt32(to + i, word, true);
  }
  if (i < size) {
    const word = view.getInt32(from + i, true);
    found |= colons(word) & ((1 << ((size - i) * 8)) - 1);
    view.setInt32(to + i, word, true);
  }
  if ((found & 0x80808080) !== 0) return false;
  bytes[to + size] = 58;
  margin.at = to + size + 1;
  margin.digits(port);
  return true;
}

/** The highest bit of a byte is set when it is a colon. Exact for the lowest of them. */
function colons(word: number): number {
  const same = word ^ 0x3a3a3a3a;
  return (same - 0x01010101) & ~same;
}

function putSocket(margin: Margin): void {
  const { bytes } = margin;
  let start = 0;
  let stop = 0;
  let port = 0;
  let nameStart = 0;
  let nameStop = 0;
  while (reader.next()) {
    if (reader.field === 2 && reader.wireType === LENGTH_DELIMITED) {
      start = reader.start;
      stop = reader.stop;
    } else if (reader.field === 3 && reader.wireType === VARINT) port = reader.low;
    else if (reader.field === 4 && reader.wireType === LENGTH_DELIMITED) {
      nameStart = reader.start;
      nameStop = reader.stop;
    }
  }
  if (start === stop) return;
  let isV6 = false;
  for (let i = start; i < stop; i++) if (bytes[i] === 58) isV6 = true;
  if (isV6) margin.byte(91);
  margin.copy(start, stop);
  if (isV6) margin.byte(93);
  margin.byte(58);
  if (nameStop > nameStart) margin.copy(nameStart, nameStop);
  else margin.digits(port);
}

function putInternal(margin: Margin): void {
  const { at, end } = reader;
  const from = margin.at;
  margin.put(internal);
  putField(margin, 1);
  margin.byte(47);
  reader.enter(at, end);
  putField(margin, 2);
  if (margin.at === from + internal.length + 1) margin.at = from;
}

function putField(margin: Margin, field: number): void {
  while (reader.next()) {
    if (reader.field === field && reader.wireType === LENGTH_DELIMITED) {
      margin.copy(reader.start, reader.stop);
    }
  }
}
