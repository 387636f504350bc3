// What a method of a gRPC server is to those who write one.

import type { GrpcReply, GrpcStatus } from './grpc_call.ts';
import type { Headers } from './http2/header_reader.ts';
import type { Stream } from './http2/stream.ts';

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
  /** The peer has said everything. Undefined: the handler will say `answer`, or has another way to end the stream. */
  end(): GrpcReply | undefined;
  /** The call ended before that: nobody waits for a reply. */
  abort?(): void;
  /** The stream is closed, after all of the request has come. */
  gone?(): void;
  /** A message of a stream was longer than allowed and was passed over. */
  skipped?(bytes: number): void;
};

/** Who calls. */
export type GrpcCaller = {
  readonly headers: Headers;
  readonly stream: Stream;
  /** Replies to a request of which everything has come. */
  answer(reply: GrpcReply): void;
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
