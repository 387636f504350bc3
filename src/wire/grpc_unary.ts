// One unary gRPC call on an HTTP/2 session, as a client makes it.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';

/** Bytes in front of a message on the wire: a flag and the length. */
export const grpcPrefixBytes = 5;

/** How a call ended. `details` and `status` (google.rpc.Status, protobuf) say more where `code` is not 0. */
export type GrpcOutcome = {
  readonly code: number;
  readonly details: string;
  readonly status?: Buffer | undefined;
  readonly message: Buffer;
};

export type UnaryRequest = {
  readonly headers: OutgoingHttpHeaders;
  /** The pieces of the framed message. */
  readonly pieces: readonly Buffer[];
  readonly signal: AbortSignal | undefined;
};

/** Whoever answers a unary call in more bytes than this is not understood. */
const answerBytesMax = 1024 * 1024;
const nothing = Buffer.alloc(0);

const CANCELLED = 1;
const UNKNOWN = 2;
const INTERNAL = 13;
const UNAVAILABLE = 14;

/** The peer has not looked at the call: it may be made again at once, elsewhere. */
export const untouched: GrpcOutcome = failed(UNAVAILABLE, 'the peer takes no more calls');

/** Never rejects. Unless the outcome is a success, the bytes of the request may still be looked at afterwards. */
export function unary(session: ClientHttp2Session, request: UnaryRequest): Promise<GrpcOutcome> {
  return new Promise((resolve) => {
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(request.headers);
    } catch {
      // The session ended between being chosen and now.
      resolve(untouched);
      return;
    }
    const { signal, pieces } = request;
    const answer = new Answer();
    const cancel = (): void => {
      stream.close(constants.NGHTTP2_CANCEL);
      // A peer that reads nothing would hold back the end of the stream.
      settle(failed(CANCELLED, 'cancelled'));
    };
    const settle = (outcome: GrpcOutcome): void => {
      signal?.removeEventListener('abort', cancel);
      resolve(outcome);
    };
    stream.on('response', (headers) => answer.begin(headers));
    stream.on('trailers', (trailers) => answer.end(trailers));
    stream.on('data', (chunk: Buffer) => {
      if (!answer.add(chunk)) stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.on('error', (error) => answer.fail(error));
    stream.on('close', () => settle(answer.outcome(stream)));
    signal?.addEventListener('abort', cancel, { once: true });
    for (let i = 0; i < pieces.length - 1; i++) stream.write(pieces[i]);
    stream.end(pieces.at(-1));
  });
}

class Answer {
  #headers: IncomingHttpHeaders | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  #error: Error | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;

  begin(headers: IncomingHttpHeaders): void {
    this.#headers = headers;
  }

  end(trailers: IncomingHttpHeaders): void {
    this.#trailers = trailers;
  }

  fail(error: Error): void {
    this.#error ??= error;
  }

  /** False: that is too much. */
  add(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= answerBytesMax) this.#chunks.push(chunk);
    return this.#bytes <= answerBytesMax;
  }

  outcome(stream: ClientHttp2Stream): GrpcOutcome {
    const ended = this.#trailers?.['grpc-status'] === undefined ? this.#headers : this.#trailers;
    if (ended?.['grpc-status'] === undefined) return this.#broken(stream.rstCode);
    const code = Number(ended['grpc-status']);
    if (code !== 0) {
      const text = ended['grpc-status-details-bin'];
      return {
        code: Number.isInteger(code) && code > 0 ? code : UNKNOWN,
        details: percentDecoded(String(ended['grpc-message'] ?? '')),
        status: text === undefined ? undefined : Buffer.from(String(text), 'base64'),
        message: nothing,
      };
    }
    if (!stream.writableFinished) {
      return failed(INTERNAL, 'the peer answered before it had the whole request');
    }
    return this.#message();
  }

  #message(): GrpcOutcome {
    const bytes = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    if (this.#bytes > answerBytesMax)
      return failed(UNKNOWN, `an answer of more than ${answerBytesMax} bytes`);
    if (bytes === undefined || bytes.length < grpcPrefixBytes) return failed(INTERNAL, 'no answer');
    if (bytes[0] !== 0) return failed(INTERNAL, 'a compressed answer, which was not asked for');
    if (bytes.readUInt32BE(1) !== bytes.length - grpcPrefixBytes) {
      return failed(INTERNAL, 'an answer of another length than it says');
    }
    return { code: 0, details: '', message: bytes.subarray(grpcPrefixBytes) };
  }

  /** What an end without a gRPC status means. */
  #broken(rstCode: number | undefined): GrpcOutcome {
    if (this.#bytes > answerBytesMax) return this.#message();
    const status = Number(this.#headers?.[':status'] ?? 200);
    if (status !== 200) {
      return failed(httpCodes.get(status) ?? UNKNOWN, `HTTP status ${status}`);
    }
    switch (rstCode) {
      case constants.NGHTTP2_REFUSED_STREAM:
        return untouched;
      case constants.NGHTTP2_ENHANCE_YOUR_CALM:
        return failed(UNAVAILABLE, 'the peer is overloaded');
      case constants.NGHTTP2_CANCEL:
        return failed(UNAVAILABLE, this.#error?.message ?? 'the connection was lost');
      case constants.NGHTTP2_NO_ERROR:
        return failed(UNKNOWN, 'an answer without a status');
      default:
        return failed(
          UNAVAILABLE,
          this.#error?.message ?? `the stream was reset with code ${rstCode}`,
        );
    }
  }
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
