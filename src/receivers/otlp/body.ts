// The body of an HTTP request: bounded before and after decompression, and read only while there is room.

import type { IncomingMessage } from 'node:http';
import { lz4Decompress } from '../../encoding/compression/lz4.ts';
import { snappyDecompress } from '../../encoding/compression/snappy.ts';
import { type Decompress, type Decompression, decompressors } from '../../wire/decompression.ts';
import { grpcCode } from '../../wire/grpc_call.ts';
import { type Failure, failed } from './intake.ts';

export type BodyOptions = {
  readonly bytesMax: number;
  readonly decompression: Decompression;
  /** Makes room for so many bytes in all. */
  readonly reserve: (bytes: number) => undefined | Promise<Failure | undefined>;
};

/** Those that the Collector knows. */
const encodings: ReadonlyMap<string, Decompress | undefined> = new Map([
  ['', undefined],
  ['identity', undefined],
  ...decompressors,
  ['zlib', decompressors.get('deflate')],
  ['snappy', async (data, { maxOutputLength }) => snappyDecompress(data, maxOutputLength)],
  ['x-snappy-framed', async (data, { maxOutputLength }) => snappyDecompress(data, maxOutputLength)],
  ['lz4', async (data, { maxOutputLength }) => lz4Decompress(data, maxOutputLength)],
]);

/** Reads and decompresses; a failure is what to answer. */
export async function readBody(
  request: IncomingMessage,
  options: BodyOptions,
): Promise<{ readonly bytes: Buffer } | Failure> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > options.bytesMax) return tooLarge;
  const encoding = String(request.headers['content-encoding'] ?? '').toLowerCase();
  if (!encodings.has(encoding)) {
    return invalid(`unsupported Content-Encoding: ${encoding}`, 'unsupported_encoding');
  }
  const full = await options.reserve(announced);
  if (full !== undefined) return full;
  const raw = await readWhole(request, options);
  if (!Buffer.isBuffer(raw)) return raw;
  const decompress = encodings.get(encoding);
  if (decompress === undefined) return { bytes: raw };
  try {
    const limit = { maxOutputLength: options.bytesMax };
    const bytes = await options.decompression.turn(request, () => decompress(raw, limit));
    return (await options.reserve(bytes.length)) ?? { bytes };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ERR_BUFFER_TOO_LARGE'
      ? tooLarge
      : invalid(`cannot decompress: ${message}`, 'malformed');
  }
}

async function readWhole(
  request: IncomingMessage,
  { bytesMax, reserve }: BodyOptions,
): Promise<Buffer | Failure> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // Leaving the loop early must leave the connection alive for the answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      length += chunk.length;
      if (length > bytesMax) return tooLarge;
      const full = await reserve(length);
      if (full !== undefined) return full;
      chunks.push(chunk as Buffer);
    }
  } catch {
    // The peer went away in the middle; nobody reads the answer.
    return invalid('the body is truncated', 'cut_short');
  }
  return Buffer.concat(chunks, length);
}

const invalid = (message: string, reason: Failure['reason']): Failure =>
  failed(grpcCode.INVALID_ARGUMENT, message, reason);

/** 400, as the Collector answers, and in words that senders know. */
const tooLarge: Failure = invalid('request body too large', 'too_large');
