// A frame: one batch in a segment file. A header of 20 bytes (little endian: magic, payload length, records, CRC-32 of
// the payload, CRC-32 of the header so far), then the payload (snapshot.ts).

import { crc32 } from 'node:zlib';

export const headerBytes = 20;
/** No batch is larger; a header that says so is damaged. */
const payloadBytesMax = 1 << 28;
const magic = 0x31514c4d;

export type FrameHeader = {
  readonly length: number;
  readonly records: number;
  readonly payloadCrc: number;
};

/** Writes the header of the payload that follows it in `first` and goes on in `rest`. */
export function sealFrame(first: Buffer, rest: Buffer, records: number): void {
  first.writeUInt32LE(magic, 0);
  first.writeUInt32LE(first.length - headerBytes + rest.length, 4);
  first.writeUInt32LE(records, 8);
  first.writeUInt32LE(crc32(rest, crc32(first.subarray(headerBytes))), 12);
  first.writeUInt32LE(crc32(first.subarray(0, 16)), 16);
}

/** The header at `at`; undefined when there is none or it is damaged. */
export function readHeader(bytes: Buffer, at = 0): FrameHeader | undefined {
  if (at + headerBytes > bytes.length || bytes.readUInt32LE(at) !== magic) return undefined;
  if (crc32(bytes.subarray(at, at + 16)) !== bytes.readUInt32LE(at + 16)) return undefined;
  const length = bytes.readUInt32LE(at + 4);
  if (length > payloadBytesMax) return undefined;
  return {
    length,
    records: bytes.readUInt32LE(at + 8),
    payloadCrc: bytes.readUInt32LE(at + 12),
  };
}

const magicBytes = Buffer.alloc(4);
magicBytes.writeUInt32LE(magic);

/** Where the next undamaged header begins, from `from` on; -1: none in these bytes. */
export function nextHeader(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(magicBytes, from); at >= 0; at = bytes.indexOf(magicBytes, at + 1)) {
    if (readHeader(bytes, at) !== undefined) return at;
  }
  return -1;
}
