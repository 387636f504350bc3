// Messages that were compressed, taken apart a few at a time: what comes out may be a thousand times as long.

import { promisify } from 'node:util';
import { gunzip, inflate, zstdDecompress } from 'node:zlib';

type Decompress = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

/** By their names in gRPC. */
const decompress: ReadonlyMap<string, Decompress> = new Map<string, Decompress>([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['zstd', promisify(zstdDecompress)],
]);
/** There are no more threads for it. All at once, each would have part of its output in memory, and none be done. */
const atOnceMax = 4;

let running = 0;
const waiting: (() => void)[] = [];

export const canDecompress = (encoding: string): boolean => decompress.has(encoding);

/** Rejects when the bytes are not of this encoding, or with ERR_BUFFER_TOO_LARGE. */
export async function decompressed(
  encoding: string,
  bytes: Buffer,
  maxOutputLength: number,
): Promise<Buffer> {
  const how = decompress.get(encoding);
  if (how === undefined) throw new Error(`${encoding} is not supported`);
  if (running >= atOnceMax) await new Promise<void>((turn) => waiting.push(turn));
  else running++;
  try {
    return await how(bytes, { maxOutputLength });
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}
