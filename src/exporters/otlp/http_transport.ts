// OTLP over HTTP, as protobuf or JSON.

import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import { type Dispatcher, Pool } from 'undici';
import { aborted, httpFailure } from '../../encoding/otlp/failure.ts';
import { toJson } from '../../encoding/otlp/json.ts';
import { putPartialSuccess, readStatus } from '../../encoding/otlp/response.ts';
import { ExportError, errorChain } from '../../pipeline/errors.ts';
import { addressText } from '../../wire/address.ts';
import { peerText } from './peer_text.ts';
import { TlsFiles } from './tls_files.ts';
import type { Transport, TransportOptions } from './transport.ts';

/** An answer is a few words; whatever else comes is not read. */
const answerBytesMax = 64 * 1024;
const gzipped = promisify(gzip);
const zstandard = promisify(zstdCompress);

/** Connections to the target, made as they are needed. */
export class HttpTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #tls: TlsFiles;
  readonly #isJson: boolean;
  readonly #headers: Record<string, string>;
  #pool: Pool | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#tls = new TlsFiles(options);
    const { protocol, compression, headers } = options.target;
    this.#isJson = protocol === 'http/json';
    this.#headers = {
      'user-agent': options.userAgent,
      ...headers,
      'content-type': this.#isJson ? 'application/json' : 'application/x-protobuf',
      ...(compression === 'none' ? {} : { 'content-encoding': compression }),
    };
  }

  async prepare(): Promise<void> {
    await this.#tls.load();
  }

  async send(request: Buffer, signal: AbortSignal): Promise<Buffer> {
    let answer: Dispatcher.ResponseData;
    let bytes: Buffer;
    try {
      if (await this.#tls.refresh()) this.#renew();
      this.#pool ??= this.#connect();
      answer = await this.#pool.request({
        method: 'POST',
        path: this.#options.target.path,
        headers: this.#headers,
        body: await this.#body(request),
        signal,
      });
      bytes = await readAnswer(answer.body);
    } catch (cause) {
      if (signal.aborted) throw aborted(signal);
      throw new ExportError(errorChain(cause), { retryable: true });
    }
    return this.#accepted(answer, bytes);
  }

  close(): void {
    this.#renew();
  }

  #renew(): void {
    // Requests under way end before their connections do.
    this.#pool?.close().catch(() => undefined);
    this.#pool = undefined;
  }

  async #body(data: Buffer): Promise<Buffer> {
    const body = this.#isJson ? toJson(data) : data;
    switch (this.#options.target.compression) {
      case 'gzip':
        return gzipped(body, { level: constants.Z_BEST_SPEED });
      case 'zstd':
        return zstandard(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
      default:
        return body;
    }
  }

  /** The answer in protobuf. Throws what it means if it is none of success. */
  #accepted({ statusCode, headers }: Dispatcher.ResponseData, bytes: Buffer): Buffer {
    const contentType = String(headers['content-type'] ?? '');
    if (statusCode >= 200 && statusCode < 300) {
      return /^application\/json\b/i.test(contentType) ? partialOfJson(bytes) : bytes;
    }
    const retryAfter = headers['retry-after'];
    throw httpFailure({
      status: statusCode,
      retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
      text: messageOf(bytes, contentType),
      nowMs: this.#options.now(),
    });
  }

  #connect(): Pool {
    const { address, tls } = this.#options.target;
    const host = address.kind === 'unix' ? 'localhost' : addressText(address);
    return new Pool(`${tls === undefined ? 'http' : 'https'}://${host}`, {
      allowH2: false,
      // The queue's timeout ends a request, and its concurrency bounds them.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        ...(this.#tls.current as object),
        ...(address.kind === 'unix' ? { socketPath: address.path } : {}),
      },
    });
  }
}

async function readAnswer(body: Dispatcher.ResponseData['body']): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > answerBytesMax) break;
  }
  return Buffer.concat(chunks).subarray(0, answerBytesMax);
}

/** ExportLogsServiceResponse in JSON as its protobuf. */
function partialOfJson(bytes: Buffer): Buffer {
  try {
    const answer = JSON.parse(bytes.toString()) as {
      partialSuccess?: { rejectedLogRecords?: string | number; errorMessage?: string };
    };
    const { rejectedLogRecords = 0, errorMessage = '' } = answer.partialSuccess ?? {};
    const rejected = Math.max(0, Number(rejectedLogRecords) || 0);
    if (rejected === 0 && errorMessage === '') return Buffer.alloc(0);
    return putPartialSuccess({ rejected, message: errorMessage });
  } catch {
    return Buffer.alloc(0);
  }
}

/** What an error answer says, in whichever of the three ways servers say it. */
function messageOf(bytes: Buffer, contentType: string): string {
  let text = bytes.toString();
  if (/^application\/x-protobuf\b/i.test(contentType)) text = readStatus(bytes).message;
  else if (/^application\/json\b/i.test(contentType)) {
    try {
      text = String((JSON.parse(text) as { message?: unknown }).message ?? text);
    } catch {
      // Not JSON after all: the text says what it says.
    }
  }
  return peerText(text);
}
