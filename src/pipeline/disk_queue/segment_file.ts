// Whole reads and writes of a queue's files.

import { closeSync, openSync, readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { buffers, slackBytes } from '../buffers.ts';
import { headerBytes, readHeader } from './frame.ts';

/** Shorter reads are not worth a buffer of the pool. */
const pooledFrom = 16 * 1024;

/** Records of the whole frames in a part of a file, by their headers, until the clock says `giveUpMs`. */
export function countRecords(
  path: string,
  range: { offset: number; size: number; giveUpMs: number },
): number {
  const head = Buffer.alloc(headerBytes);
  let records = 0;
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    for (let at = range.offset; at < range.size && performance.now() < range.giveUpMs; ) {
      readSync(file, head, 0, headerBytes, at);
      const header = readHeader(head);
      if (header === undefined) break;
      records += header.records;
      at += headerBytes + header.length;
    }
  } catch {
    // A count that comes out short is better than none.
  }
  if (file !== undefined) closeSync(file);
  return records;
}

/** Writes the parts one behind the other at `offset`. */
export async function writeAll(
  file: FileHandle,
  parts: readonly Buffer[],
  offset: number,
): Promise<void> {
  let at = offset;
  let rest = [...parts];
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest, at);
    at += bytesWritten;
    while (rest.length > 0 && bytesWritten >= (rest[0]?.length ?? 0)) {
      bytesWritten -= rest[0]?.length ?? 0;
      rest = rest.slice(1);
    }
    if (bytesWritten > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(bytesWritten);
  }
}

/** `length` bytes at `offset`, with slack behind them; fewer when the file ends before. */
export async function readExactly(
  file: FileHandle,
  offset: number,
  length: number,
): Promise<Buffer> {
  const buffer =
    length < pooledFrom ? Buffer.allocUnsafeSlow(length + slackBytes) : buffers.take(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await file.read(buffer, got, length - got, offset + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return buffer.subarray(0, got);
}
