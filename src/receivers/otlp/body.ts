// The body of an HTTP request: bounded before and after decompression, and read only while there is room.

import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate, zstdDecompress } from 'node:zlib';
import { lz4Decompress } from '../../encoding/compression/lz4.ts';
import { snappyDecompress } from '../../encoding/compression/snappy.ts';
import { grpcCode } from '../../wire/grpc_call.ts';
import { type Failure, failed } from './intake.ts';

export type BodyOptions = {
  readonly bytesMax: number;
  /** Makes room for so many bytes in all. */
  readonly reserve: (bytes: number) => undefined | Promise<Failure | undefined>;
};

type Decompress = (data: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

const inflated = promisify(inflate) as Decompress;

/** Those that the Collector knows. */
const decompressors: Readonly<Record<string, Decompress>> = {
  gzip: promisify(gunzip) as Decompress,
  deflate: inflated,
  zlib: inflated,
  zstd: promisify(zstdDecompress) as Decompress,
  snappy: async (data, { maxOutputLength }) => snappyDecompress(data, maxOutputLength),
  'x-snappy-framed': async (data, { maxOutputLength }) => snappyDecompress(data, maxOutputLength),
  lz4: async (data, { maxOutputLength }) => lz4Decompress(data, maxOutputLength),
};

/** Reads and decompresses; a failure is what to answer. */
export async function readBody(
  request: IncomingMessage,
  options: BodyOptions,
): Promise<{ readonly bytes: Buffer } | Failure> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > options.bytesMax) return tooLarge;
  const encoding = String(request.headers['content-encoding'] ?? '').toLowerCase();
  const decompress = Object.hasOwn(decompressors, encoding) ? decompressors[encoding] : undefined;
  if (decompress === undefined && encoding !== '' && encoding !== 'identity') {
    return invalid(`unsupported Content-Encoding: ${encoding}`, 'unsupported_encoding');
  }
  const full = await options.reserve(announced);
  if (full !== undefined) return full;
  const raw = await readWhole(request, options);
  if (!Buffer.isBuffer(raw)) return raw;
  if (decompress === undefined) return { bytes: raw };
  try {
    const bytes = await decompress(raw, { maxOutputLength: options.bytesMax });
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
