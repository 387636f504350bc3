// One gRPC call as a server sees it: messages in with their framing taken off, one reply out.

import { type Decompress, type Decompression, decompressors } from './decompression.ts';
import type { GrpcCaller, GrpcHandler, GrpcMethod } from './grpc_method.ts';
import { sendReply } from './grpc_reply.ts';
import { HeldBytes } from './held_bytes.ts';
import { errorCode } from './http2/frames.ts';
import type { Headers } from './http2/header_reader.ts';
import type { Stream, StreamReader } from './http2/stream.ts';

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

const prefixBytes = 5;
const nothing = Buffer.alloc(0);

/** What all calls of a server have in common. */
export type GrpcCallOptions = {
  readonly messageBytesMax: number;
  readonly decompression: Decompression;
  /** The call was answered with a refusal, or broke off. */
  readonly refused?: ((reason: string) => void) | undefined;
};

type Called = {
  readonly method: GrpcMethod;
  readonly headers: Headers;
  readonly options: GrpcCallOptions;
};

/** Reads the messages of a stream into its handler and sends what the handler answers. */
export class GrpcCall implements StreamReader, GrpcCaller {
  readonly stream: Stream;
  readonly headers: Headers;
  readonly #method: GrpcMethod;
  readonly #handler: GrpcHandler;
  readonly #options: GrpcCallOptions;
  /** How much of a prefix has come, and what it says so far. */
  #prefixRead = 0;
  #length = 0;
  #compressed = false;
  /** Bytes of the message that is being read; -1: its prefix has not come. */
  #needed = -1;
  /** Where it is put together, and how much of it is there. */
  #place: Buffer | undefined;
  #placed = 0;
  /** Bytes of a message that is passed over. */
  #skip = 0;
  /** Something that was begun has to settle first; and what came meanwhile. */
  #busy = false;
  #held: HeldBytes | undefined;
  #messages = 0;
  #ended = false;
  #done = false;
  /** When the request began, or on a stream its last message. */
  #startedMs: number;
  #unreadSinceMs = Number.POSITIVE_INFINITY;

  constructor(stream: Stream, { method, headers, options }: Called) {
    this.stream = stream;
    this.headers = headers;
    this.#method = method;
    this.#options = options;
    this.#startedMs = stream.connection.heardMs;
    this.#handler = method.open(this);
  }

  /**
   * Since when the peer has had something to send that has not come whole, or has not let the answer through; infinity:
   * it has nothing to do.
   */
  get waitingSinceMs(): number {
    if (this.#done) return this.#unreadSinceMs;
    if (this.#ended) return Number.POSITIVE_INFINITY;
    if (this.isUnary) return this.#startedMs;
    return this.#needed >= 0 && !this.#busy ? this.#startedMs : Number.POSITIVE_INFINITY;
  }

  /** The peer does not do its part. */
  giveUp(): void {
    const details = 'the request was not complete in time';
    if (!this.#done) return this.fail({ code: 4, details, reason: 'timeout' });
    this.#options.refused?.('unread');
    this.stream.reset(errorCode.CANCEL);
  }

  /** Whether the request is one message. */
  get isUnary(): boolean {
    return !this.#method.streaming;
  }

  /** Ends the call early. */
  fail(status: GrpcStatus): void {
    if (this.#done) return;
    this.#abort();
    this.answer(status);
  }

  data(bytes: Buffer, start: number, end: number): void {
    if (this.#done) return;
    try {
      const at = this.#busy ? start : this.#take(bytes, start, end);
      if (this.#done) return;
      if (this.#busy) this.#hold(bytes, at, end);
      else this.#allow();
    } catch (error) {
      this.#defect(error);
    }
  }

  end(): void {
    this.#ended = true;
    if (!this.#busy && !this.#done) this.#finish();
  }

  closed(): void {
    if (this.#done) {
      this.#handler.gone?.();
      return;
    }
    // The peer is gone in the middle of a request or of a message.
    if (this.isUnary || this.#isInside || this.#busy) this.#options.refused?.('cut_short');
    this.#abort();
  }

  get #isInside(): boolean {
    return this.#needed >= 0 || this.#prefixRead > 0 || this.#skip > 0;
  }

  #abort(): void {
    this.#done = true;
    this.#held = undefined;
    this.#place = undefined;
    if (this.#busy) this.#options.decompression.leave(this);
    this.#handler.abort?.();
  }

  /** Not more than the window of the stream comes while nobody says that it may. */
  #hold(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.#held ??= new HeldBytes();
    this.#held.add(bytes, start, end);
    // Room was asked for one message: what comes behind it has none.
    const asked = Math.max(0, this.#needed - this.#placed);
    if (this.isUnary && this.#held.end - this.#held.start > asked) this.fail(notOneMessage);
  }

  /** Returns where it stopped: at the end, or where it has to wait. */
  #take(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.#busy && !this.#done) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, end - at);
        this.#skip -= passed;
        at += passed;
      } else if (this.#needed >= 0) {
        at = this.#fill(bytes, at, end);
      } else if (this.#prefixRead === 0 && end - at >= prefixBytes) {
        at += prefixBytes;
        this.#prefix(bytes[at - prefixBytes]!, bytes.readUInt32BE(at - 4));
      } else {
        const byte = bytes[at++]!;
        if (this.#prefixRead++ === 0) this.#compressed = byte !== 0;
        else this.#length = this.#length * 256 + byte;
        if (this.#prefixRead === prefixBytes) this.#prefix(this.#compressed ? 1 : 0, this.#length);
      }
    }
    return at;
  }

  /** Says how much may come. Whoever sends one message needs to hear it only if its window is less than the message. */
  #allow(): void {
    const missing = Math.max(this.#skip, this.#needed - this.#placed);
    if (this.isUnary && missing < this.stream.receiveWindow) return;
    this.stream.allow(missing);
  }

  /** What there is of the message goes to its place; returns where it stopped. */
  #fill(bytes: Buffer, at: number, end: number): number {
    this.#place ??= this.#newPlace();
    const part = Math.min(this.#needed - this.#placed, end - at);
    bytes.copy(this.#place, this.#placed, at, at + part);
    this.#placed += part;
    if (this.#placed === this.#needed) this.#whole();
    return at + part;
  }

  #newPlace(): Buffer {
    const place = this.#compressed ? undefined : this.#handler.place?.(this.#needed);
    return place ?? Buffer.allocUnsafe(this.#needed);
  }

  #prefix(first: number, length: number): void {
    this.#prefixRead = 0;
    this.#length = 0;
    this.#compressed = first !== 0;
    // There is room for one message.
    if (this.isUnary && this.#messages > 0) return this.fail(notOneMessage);
    if (length > this.#options.messageBytesMax) return this.#tooLarge(length);
    this.#needed = length;
    const refusal = this.#method.admit?.(length, this.#handler);
    if (refusal instanceof Promise) {
      this.#await(refusal, (status) => this.#admitted(status, performance.now()));
    } else this.#admitted(refusal, this.stream.connection.heardMs);
  }

  #admitted(refusal: GrpcStatus | undefined, nowMs: number): void {
    if (refusal !== undefined) return this.fail(refusal);
    if (!this.isUnary) this.#startedMs = nowMs;
    if (this.#needed > 0) return;
    this.#place = this.#newPlace();
    this.#whole();
  }

  #tooLarge(length: number): void {
    if (this.#method.streaming) {
      this.#skip = length;
      this.#handler.skipped?.(length);
      return;
    }
    const details = `Received message larger than max (${length} vs. ${this.#options.messageBytesMax})`;
    this.fail({ code: grpcCode.RESOURCE_EXHAUSTED, details, reason: 'too_large' });
  }

  /** The message is there. */
  #whole(): void {
    const place = this.#place ?? nothing;
    const message = place.length === this.#needed ? place : place.subarray(0, this.#needed);
    this.#place = undefined;
    this.#needed = -1;
    this.#placed = 0;
    this.#messages++;
    if (!this.#compressed) return this.#give(message);
    const encoding = this.headers['grpc-encoding'] ?? 'identity';
    const decompress = decompressors.get(encoding);
    if (decompress !== undefined) return this.#decompress(message, decompress);
    const details = `grpc-encoding ${encoding} is not supported`;
    this.fail({ code: grpcCode.UNIMPLEMENTED, details, reason: 'unsupported_encoding' });
  }

  /**
   * A message of a stream keeps its turn until it is taken: it has become longer than what room was asked for, and of
   * those that wait for more there are a few only. Requests of one message are not made to wait for long.
   */
  #decompress(message: Buffer, decompress: Decompress): void {
    const { decompression, messageBytesMax: maxOutputLength } = this.#options;
    const taken = decompression.turn(this, async () => {
      if (this.#done) return undefined;
      const plain = await decompress(message, { maxOutputLength }).catch((error) => {
        if (!this.#done) this.#broken(error);
      });
      if (plain === undefined || this.#done) return undefined;
      const taking = this.#handler.message(plain);
      return this.isUnary ? { taking } : { taking: await taking };
    });
    this.#await(
      taken.then((result) => result?.taking),
      (status) => status && this.fail(status),
    );
  }

  #broken(error: NodeJS.ErrnoException): void {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') {
      const details = `Received message larger than max (after decompression vs. ${this.#options.messageBytesMax})`;
      this.fail({ code: grpcCode.RESOURCE_EXHAUSTED, details, reason: 'too_large' });
      return;
    }
    const details = `cannot decompress: ${error.message}`;
    this.fail({ code: grpcCode.INTERNAL, details, reason: 'malformed' });
  }

  #give(message: Buffer): void {
    try {
      const taken = this.#handler.message(message);
      if (taken instanceof Promise) this.#await(taken, (status) => status && this.fail(status));
      else if (taken !== undefined) this.fail(taken);
    } catch (error) {
      this.#defect(error);
    }
  }

  /** The peer has said everything, and all of it was read. */
  #finish(): void {
    if (this.#isInside) {
      const details = 'the request is truncated';
      return this.fail({ code: grpcCode.INTERNAL, details, reason: 'cut_short' });
    }
    if (this.#messages === 0 && this.isUnary) return this.fail(notOneMessage);
    // No `abort` any more: the handler has the whole request.
    this.#done = true;
    try {
      const reply = this.#handler.end();
      if (reply !== undefined) this.answer(reply);
    } catch (error) {
      this.answer(internal(error));
    }
  }

  /** Takes nothing more until the promise settles. */
  #await<T>(promise: Promise<T>, then: (value: T) => unknown): void {
    this.#busy = true;
    promise
      .then((value) => {
        this.#busy = false;
        if (this.#done) return;
        then(value);
        this.#goOn();
      })
      .catch((error: unknown) => this.#defect(error));
  }

  /** What came while nothing was taken. */
  #goOn(): void {
    if (this.#busy || this.#done) return;
    const held = this.#held;
    if (held !== undefined) held.start = this.#take(held.bytes, held.start, held.end);
    if (this.#busy || this.#done) return;
    this.#held = undefined;
    if (this.#ended) this.#finish();
    else this.#allow();
  }

  #defect(error: unknown): void {
    this.#busy = false;
    this.fail(internal(error));
  }

  answer(reply: GrpcReply): void {
    this.#done = true;
    if ('code' in reply && reply.code !== 0) this.#options.refused?.(reply.reason ?? 'other');
    const { stream } = this;
    if (stream.closed) return;
    sendReply(stream, reply, this.#ended);
    if (!stream.localEnded && !stream.closed) this.#unreadSinceMs = performance.now();
  }
}

const notOneMessage: GrpcStatus = {
  code: grpcCode.INTERNAL,
  details: 'expected one message',
  reason: 'malformed',
};

export const internal = (error: unknown): GrpcStatus => {
  const details = error instanceof Error ? error.message : String(error);
  return { code: grpcCode.INTERNAL, details, reason: 'defect' };
};
