// One unary gRPC call on an HTTP/2 connection, as a client makes it.

import type { ClientConnection } from './http2/client_connection.ts';
import type { AnswerReader, ClientStream, Request, StreamEnd } from './http2/client_stream.ts';
import { errorCode, errorName } from './http2/frames.ts';
import type { Headers } from './http2/header_reader.ts';

/** Bytes in front of a message on the wire: a flag and the length. */
export const grpcPrefixBytes = 5;

/** How a call ended. `details` and `status` (google.rpc.Status, protobuf) say more where `code` is not 0. */
export type GrpcOutcome = {
  readonly code: number;
  readonly details: string;
  readonly status?: Buffer | undefined;
  readonly message: Buffer;
};

/** Whoever answers a unary call in more bytes than this is not understood. */
export const answerBytesMax = 1024 * 1024;
const nothing: Buffer = Buffer.alloc(0);

const CANCELLED = 1;
const UNKNOWN = 2;
const INTERNAL = 13;
const UNAVAILABLE = 14;

/** The peer has not looked at the call: it may be made again at once, elsewhere. */
export const untouched: GrpcOutcome = failed(UNAVAILABLE, 'the peer takes no more calls');

const cancelled = failed(CANCELLED, 'cancelled');

/** Never rejects. Unless the outcome is a success, the bytes of the request may still be looked at afterwards. */
export function unary(
  connection: ClientConnection,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<GrpcOutcome> {
  if (signal?.aborted) return Promise.resolve(cancelled);
  return new Promise((resolve) => {
    new Call(resolve, signal).start(connection, request);
  });
}

class Call implements AnswerReader {
  readonly #resolve: (outcome: GrpcOutcome) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #abort = (): void => this.#cancel(cancelled);
  #stream: ClientStream | undefined;
  #headers: Headers | undefined;
  #trailers: Headers | undefined;
  /** The first `#bytes` of it have come. */
  #body = nothing;
  #bytes = 0;

  constructor(resolve: (outcome: GrpcOutcome) => void, signal: AbortSignal | undefined) {
    this.#resolve = resolve;
    this.#signal = signal;
  }

  start(connection: ClientConnection, request: Request): void {
    this.#signal?.addEventListener('abort', this.#abort, { once: true });
    this.#stream = connection.request(request, this);
  }

  /** Settles at once: a peer that reads nothing would hold back an orderly end. */
  #cancel(outcome: GrpcOutcome): void {
    this.#stream?.cancel();
    this.#settle(outcome);
  }

  #settle(outcome: GrpcOutcome): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#resolve(outcome);
  }

  headers(headers: Headers, areTrailers: boolean): void {
    if (areTrailers) this.#trailers = headers;
    else this.#headers = headers;
  }

  data(bytes: Buffer, start: number, end: number): void {
    const length = this.#bytes + end - start;
    if (length > answerBytesMax) {
      return this.#cancel(failed(UNKNOWN, `an answer of more than ${answerBytesMax} bytes`));
    }
    if (length > this.#body.length) {
      const longer = Buffer.allocUnsafe(Math.max(length, this.#body.length * 2));
      this.#body.copy(longer, 0, 0, this.#bytes);
      this.#body = longer;
    }
    bytes.copy(this.#body, this.#bytes, start, end);
    this.#bytes = length;
  }

  isSuccess(): boolean {
    return statusOf(this.#ended?.['grpc-status']) === 0;
  }

  closed(end: StreamEnd): void {
    this.#settle(this.#outcome(end));
  }

  /** The headers that have the status. */
  get #ended(): Headers | undefined {
    return this.#trailers?.['grpc-status'] === undefined ? this.#headers : this.#trailers;
  }

  #outcome(end: StreamEnd): GrpcOutcome {
    const ended = this.#ended;
    if (ended?.['grpc-status'] === undefined) return this.#broken(end);
    const code = statusOf(ended['grpc-status']);
    if (code !== 0) {
      const text = ended['grpc-status-details-bin'];
      return {
        code,
        details: percentDecoded(ended['grpc-message'] ?? ''),
        status: text === undefined ? undefined : Buffer.from(text, 'base64'),
        message: nothing,
      };
    }
    if (end.kind === 'early') {
      return failed(INTERNAL, 'the peer answered before it had the whole request');
    }
    return end.kind === 'answered' ? this.#message() : this.#broken(end);
  }

  #message(): GrpcOutcome {
    const bytes = this.#body.subarray(0, this.#bytes);
    if (bytes.length < grpcPrefixBytes) return failed(INTERNAL, 'no answer');
    if (bytes[0] !== 0) return failed(INTERNAL, 'a compressed answer, which was not asked for');
    if (bytes.readUInt32BE(1) !== bytes.length - grpcPrefixBytes) {
      return failed(INTERNAL, 'an answer of another length than it says');
    }
    return { code: 0, details: '', message: bytes.subarray(grpcPrefixBytes) };
  }

  /** What an end without a gRPC status means. */
  #broken(end: StreamEnd): GrpcOutcome {
    const status = Number(this.#headers?.[':status'] ?? 200);
    if (status !== 200) {
      return failed(httpCodes.get(status) ?? UNKNOWN, `HTTP status ${status}`);
    }
    switch (end.kind) {
      case 'untouched':
        return untouched;
      case 'lost':
        return failed(UNAVAILABLE, end.why);
      case 'reset':
        return ofReset(end.code);
      default:
        return failed(UNKNOWN, 'an answer without a status');
    }
  }
}

/** Of `grpc-status`: what is no number is no success either. */
function statusOf(text: string | undefined): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : UNKNOWN;
}

function ofReset(code: number): GrpcOutcome {
  if (code === errorCode.ENHANCE_YOUR_CALM) return failed(UNAVAILABLE, 'the peer is overloaded');
  return failed(UNAVAILABLE, `the peer reset the stream: ${errorName(code)}`);
}

/** As gRPC's own mapping; a proxy answers so when it has no gRPC peer. */
const httpCodes = new Map([
  [400, INTERNAL],
  [401, 16],
  [403, 7],
  [404, 12],
  [429, UNAVAILABLE],
  [502, UNAVAILABLE],
  [503, UNAVAILABLE],
  [504, UNAVAILABLE],
]);

function failed(code: number, details: string): GrpcOutcome {
  return { code, details, message: nothing };
}

function percentDecoded(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
