// One gRPC call as a server sees it: messages in with their framing taken off, one reply out.

import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { promisify } from 'node:util';
import { gunzip, inflate, zstdDecompress } from 'node:zlib';
import { sendReply } from './grpc_reply.ts';

export const grpcCode = {
  OK: 0,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

/** How a call ends. `status` is google.rpc.Status in protobuf, for what code and details cannot say. */
export type GrpcStatus = {
  readonly code: number;
  readonly details: string;
  readonly status?: Buffer;
  /** Under what a refusal is counted. */
  readonly reason?: string;
};

export type GrpcReply = { readonly message: Buffer } | GrpcStatus;

/** Reads one call. */
export type GrpcHandler = {
  /**
   * A message; it is valid for as long as it is kept. Not reading on while this is pending is the backpressure. A
   * status ends the call.
   */
  message(message: Buffer): undefined | GrpcStatus | Promise<undefined | GrpcStatus>;
  /**
   * Where a message of so many bytes is put together as it comes in; `message` is then given the beginning of it. Absent
   * or undefined: in fresh memory.
   */
  place?(bytes: number): Buffer | undefined;
  /** The peer has said everything. */
  end(): GrpcReply | Promise<GrpcReply>;
  /** The call ended before that: nobody waits for a reply. */
  abort?(): void;
  /** A message of a stream was longer than allowed and was passed over. */
  skipped?(bytes: number): void;
};

/** Who calls. */
export type GrpcCaller = {
  readonly headers: IncomingHttpHeaders;
  readonly stream: ServerHttp2Stream;
};

export type GrpcMethod = {
  /** Whether the request is a stream of messages: then one that is too long is passed over, and the stream lives. */
  readonly streaming: boolean;
  open(caller: GrpcCaller): GrpcHandler;
  /**
   * Asks for room for a message of so many bytes before they are read; a status refuses the call. With compression
   * the message may become longer, up to the limit.
   */
  admit?(
    bytes: number,
    handler: GrpcHandler,
  ): undefined | GrpcStatus | Promise<undefined | GrpcStatus>;
};

const prefixBytes = 5;
const decompress = {
  gzip: promisify(gunzip),
  deflate: promisify(inflate),
  zstd: promisify(zstdDecompress),
} as const;

/** Reads the messages of a stream into its handler and sends what the handler answers. */
export class GrpcCall {
  readonly #stream: ServerHttp2Stream;
  readonly #method: GrpcMethod;
  readonly #handler: GrpcHandler;
  readonly #messageBytesMax: number;
  readonly #refused: ((reason: string) => void) | undefined;
  readonly #encoding: string;
  #chunks: Buffer[] = [];
  #buffered = 0;
  /** Bytes of the message that is being read; -1: its prefix has not come. */
  #needed = -1;
  /** Where it is put together, and how much of it is there. */
  #place: Buffer | undefined;
  #placed = 0;
  #compressed = false;
  #skip = 0;
  /** Something that was begun with these bytes has to settle first. */
  #busy = false;
  #messages = 0;
  #ended = false;
  #done = false;
  readonly startedMs = performance.now();

  constructor(
    stream: ServerHttp2Stream,
    method: GrpcMethod,
    options: {
      readonly headers: IncomingHttpHeaders;
      readonly messageBytesMax: number;
      /** The call was answered with a refusal, or broke off. */
      readonly refused?: ((reason: string) => void) | undefined;
    },
  ) {
    this.#stream = stream;
    this.#method = method;
    this.#messageBytesMax = options.messageBytesMax;
    this.#refused = options.refused;
    this.#encoding = String(options.headers['grpc-encoding'] ?? 'identity');
    this.#handler = method.open({ headers: options.headers, stream });
    stream.on('data', (chunk: Buffer) => {
      if (this.#done) return;
      this.#chunks.push(chunk);
      this.#buffered += chunk.length;
      this.#pump();
    });
    stream.on('end', () => {
      // A stream that was reset ends too, but its peer has not said everything.
      if (stream.aborted || stream.rstCode !== 0) return this.#breakOff();
      this.#ended = true;
      this.#pump();
    });
    stream.on('error', () => undefined);
    stream.on('close', () => this.#breakOff());
  }

  /** Whether the peer has not yet sent all of its request. */
  get isReading(): boolean {
    return !this.#ended && !this.#done;
  }

  /** Whether the request is one message. */
  get isUnary(): boolean {
    return !this.#method.streaming;
  }

  /** Ends the call early. */
  fail(status: GrpcStatus): void {
    if (this.#done) return;
    this.#abort();
    this.#send(status);
  }

  /** The peer is gone in the middle of a request or of a message. */
  #breakOff(): void {
    if (this.#done) return;
    if (this.isUnary || this.#needed >= 0 || this.#buffered > 0) this.#refused?.('cut_short');
    this.#abort();
  }

  #abort(): void {
    if (this.#done) return;
    this.#done = true;
    this.#chunks = [];
    this.#handler.abort?.();
  }

  #pump(): void {
    while (!this.#busy && !this.#done) {
      if (this.#skip > 0) this.#pass();
      else if (this.#needed >= 0) {
        const message = this.#whole(this.#needed);
        if (message === undefined) return this.#expectMore();
        this.#message(message);
      } else {
        if (this.#buffered < prefixBytes) {
          if (!this.#ended || this.#buffered > 0) return this.#expectMore();
          return this.#finish();
        }
        this.#prefix(this.#take(prefixBytes));
      }
      if (this.#skip > 0 && this.#buffered === 0) return this.#expectMore();
    }
  }

  /** The message of so many bytes, once they have all come. */
  #whole(bytes: number): Buffer | undefined {
    if (this.#place === undefined && this.#placed === 0 && !this.#compressed) {
      this.#place = this.#handler.place?.(bytes);
    }
    const place = this.#place;
    if (place === undefined) return this.#buffered < bytes ? undefined : this.#take(bytes);
    while (this.#placed < bytes && this.#buffered > 0) {
      const part = this.#take(Math.min(bytes - this.#placed, (this.#chunks[0] as Buffer).length));
      part.copy(place, this.#placed);
      this.#placed += part.length;
    }
    if (this.#placed < bytes) return undefined;
    this.#place = undefined;
    this.#placed = 0;
    return place.subarray(0, bytes);
  }

  #expectMore(): void {
    if (!this.#ended) return;
    const details = 'the request is truncated';
    this.fail({ code: grpcCode.INTERNAL, details, reason: 'cut_short' });
  }

  #prefix(prefix: Buffer): void {
    const length = prefix.readUInt32BE(1);
    this.#compressed = prefix[0] !== 0;
    if (length > this.#messageBytesMax) return this.#tooLarge(length);
    this.#needed = length;
    const refusal = this.#method.admit?.(length, this.#handler);
    if (refusal instanceof Promise) this.#await(refusal, (status) => status && this.fail(status));
    else if (refusal !== undefined) this.fail(refusal);
  }

  #tooLarge(length: number): void {
    if (this.#method.streaming) {
      this.#skip = length;
      this.#handler.skipped?.(length);
      return;
    }
    const details = `Received message larger than max (${length} vs. ${this.#messageBytesMax})`;
    this.fail({ code: grpcCode.RESOURCE_EXHAUSTED, details, reason: 'too_large' });
  }

  /** Throws away what belongs to a message that is passed over. */
  #pass(): void {
    const count = Math.min(this.#skip, this.#buffered);
    this.#take(count);
    this.#skip -= count;
  }

  #message(message: Buffer): void {
    this.#needed = -1;
    if (!this.#compressed) return this.#give(message);
    const how = decompress[this.#encoding as keyof typeof decompress];
    if (how === undefined) {
      const details = `grpc-encoding ${this.#encoding} is not supported`;
      this.fail({ code: grpcCode.UNIMPLEMENTED, details, reason: 'unsupported_encoding' });
      return;
    }
    const plain = how(message, { maxOutputLength: this.#messageBytesMax }) as Promise<Buffer>;
    this.#await(
      plain.catch((error: NodeJS.ErrnoException) => this.#broken(error)),
      (whole) => whole && this.#give(whole),
    );
  }

  #broken(error: NodeJS.ErrnoException): undefined {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') {
      const details = `Received message larger than max (after decompression vs. ${this.#messageBytesMax})`;
      this.fail({ code: grpcCode.RESOURCE_EXHAUSTED, details, reason: 'too_large' });
      return;
    }
    const details = `cannot decompress: ${error.message}`;
    this.fail({ code: grpcCode.INTERNAL, details, reason: 'malformed' });
  }

  #give(message: Buffer): void {
    if (++this.#messages > 1 && this.isUnary) return this.fail(notOneMessage);
    try {
      const taken = this.#handler.message(message);
      if (taken instanceof Promise) this.#await(taken, (status) => status && this.fail(status));
      else if (taken !== undefined) this.fail(taken);
    } catch (error) {
      this.#defect(error);
    }
  }

  /** The peer has said everything, and all of it was taken. */
  #finish(): void {
    if (this.#messages === 0 && this.isUnary) return this.fail(notOneMessage);
    this.#busy = true;
    // No `abort` any more: the handler has the whole request.
    this.#done = true;
    try {
      const reply = this.#handler.end();
      if (!(reply instanceof Promise)) return this.#send(reply);
      reply.then(
        (answer) => this.#send(answer),
        (error: unknown) => this.#send(internal(error)),
      );
    } catch (error) {
      this.#send(internal(error));
    }
  }

  /** Reads nothing more until the promise settles. */
  #await<T>(promise: Promise<T>, then: (value: T) => unknown): void {
    this.#busy = true;
    this.#stream.pause();
    promise.then(
      (value) => {
        this.#busy = false;
        if (this.#done) return;
        then(value);
        if (this.#busy || this.#done) return;
        this.#stream.resume();
        this.#pump();
      },
      (error: unknown) => this.#defect(error),
    );
  }

  #defect(error: unknown): void {
    this.#busy = false;
    this.fail(internal(error));
  }

  #take(count: number): Buffer {
    this.#buffered -= count;
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) {
      if (first.length === count) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const parts: Buffer[] = [];
    for (let missing = count; missing > 0; ) {
      const chunk = this.#chunks[0] as Buffer;
      const part = chunk.subarray(0, missing);
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, count);
  }

  #send(reply: GrpcReply): void {
    this.#done = true;
    if ('code' in reply && reply.code !== 0) this.#refused?.(reply.reason ?? 'other');
    sendReply(this.#stream, reply, this.#ended);
  }
}

const notOneMessage: GrpcStatus = {
  code: grpcCode.INTERNAL,
  details: 'expected one message',
  reason: 'malformed',
};

const internal = (error: unknown): GrpcStatus => {
  const details = error instanceof Error ? error.message : String(error);
  return { code: grpcCode.INTERNAL, details, reason: 'defect' };
};
