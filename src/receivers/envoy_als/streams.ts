// The streams of proxies: each says once who it is, then sends messages until somebody ends it.

import { readHead } from '../../encoding/als/decode.ts';
import type { Waiter } from '../../pipeline/budget.ts';
import { buffers } from '../../pipeline/buffers.ts';
import type { Context } from '../../pipeline/component.ts';
import { HeldBack } from '../../pipeline/held_back.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { plainIp } from '../../wire/address.ts';
import type { GrpcReply } from '../../wire/grpc_call.ts';
import type { GrpcHandler, GrpcMethod } from '../../wire/grpc_method.ts';
import { sendReply } from '../../wire/grpc_reply.ts';
import type { Stream as Http2Stream } from '../../wire/http2/stream.ts';
import type { Gathering } from './gathering.ts';
import { type Speaker, Speakers } from './speakers.ts';

/** Room per byte of a message: its buffer and its copy in a batch, the batch's columns, and what an exporter makes of it. */
const bytesPerByte = 5;
/** Messages from this size on are put together in a buffer of the pool: what was read of them is free at once. */
const placedBytesMin = 8 * 1024;
const sweepMs = 250;

export class Streams {
  readonly #gathering: Gathering;
  readonly #context: Context;
  readonly #open = new Set<Stream>();
  readonly #speakers: Speakers;
  /** @internal */ readonly heldBack: HeldBack;
  readonly #forget: () => void;
  #sweep: NodeJS.Timeout | undefined;

  constructor(gathering: Gathering, context: Context) {
    this.#gathering = gathering;
    this.#context = context;
    const labels = { receiver: context.id };
    this.heldBack = new HeldBack(context);
    this.#speakers = new Speakers(context);
    this.#forget = context.metrics.gauge(
      'meshlog_receiver_streams',
      'Streams that are open.',
      labels,
      () => this.#open.size,
    );
  }

  get count(): number {
    return this.#open.size;
  }

  /** The method of the access log service. */
  method(): GrpcMethod {
    return {
      streaming: true,
      open: ({ stream }) => {
        const opened = new Stream(stream, this);
        this.#open.add(opened);
        return opened;
      },
      admit: (bytes, handler) => (handler as Stream).admit(bytes),
    };
  }

  /** From now on streams of connections that shall end are ended. */
  watch(): void {
    this.#sweep = setInterval(() => {
      for (const stream of this.#open) if (stream.isLeaving) stream.conclude();
    }, sweepMs);
    this.#sweep.unref();
  }

  /** Ends all streams. */
  conclude(): void {
    for (const stream of this.#open) stream.conclude();
  }

  close(): void {
    clearInterval(this.#sweep);
    this.#forget();
    this.#context.degraded.leave();
  }

  /** @internal */ closed(stream: Stream): void {
    this.#open.delete(stream);
    if (stream.speaker !== undefined) this.#speakers.left(stream.speaker);
  }

  tryTake(bytes: number): boolean {
    return this.#context.budget.tryTake(bytes);
  }

  /** `taken` is called when there is room for so many bytes: it was taken. Until then `forget` ends it. */
  wait(bytes: number, taken: () => void): Waiter {
    this.heldBack.begin();
    const end = (): void => {
      this.heldBack.end();
      taken();
    };
    // Messages are of very different sizes, and nobody tells a proxy to come back later.
    return this.#context.budget.wait(bytes, end, { borrows: true });
  }

  forget(waiter: Waiter): void {
    this.#context.budget.forget(waiter);
    this.heldBack.end();
  }

  /** Resolves when a message that is longer than it was may take more than there is. */
  overdraw(bytes: number): Promise<void> {
    return this.#context.budget.overdraw(bytes);
  }

  give(bytes: number): void {
    // Whoever waits is looked at with each.
    if (bytes > 0) this.#context.budget.give(bytes);
  }

  /** A message that came in, for which `heldBytes` were taken. */
  message(message: Buffer, own: Buffer | undefined, stream: Stream, heldBytes: number): void {
    const { entries, identifier, malformed } = readHead(message);
    if (identifier !== undefined) {
      const before = stream.speaker;
      stream.speaker = this.#speakers.join({ ...identifier, ...stream.peer });
      if (before !== undefined) this.#speakers.left(before);
    }
    const facts = stream.speaker?.facts ?? stream.peer;
    if (malformed) this.#context.drop('malformed_message', 1);
    if (entries > 0) {
      this.#gathering.add({ message, own, entries, facts, heldBytes });
      return;
    }
    this.give(heldBytes);
    if (own !== undefined) buffers.give(own);
  }

  skipped(): void {
    this.#context.drop('message_too_large', 1);
  }
}

/** A message of no bytes: some clients insist on one. */
const empty: GrpcReply = { message: Buffer.alloc(0) };

class Stream implements GrpcHandler {
  readonly #stream: Http2Stream;
  readonly #streams: Streams;
  /** What is known of who speaks before it says so, and what it has said. */
  readonly peer: Attributes;
  speaker: Speaker | undefined;
  /** What was taken of the budget for a message that is on its way. */
  #heldBytes = 0;
  /** Of the pool; that message is put together in it. */
  #own: Buffer | undefined;
  /** The next message waits for room. */
  #waiter: Waiter | undefined;
  /** A message that has become longer waits for more. */
  #isHeldBack = false;
  #isOver = false;

  constructor(stream: Http2Stream, streams: Streams) {
    this.#stream = stream;
    this.#streams = streams;
    const address = stream.connection.remoteAddress;
    this.peer = address === undefined ? {} : { 'net.peer.ip': plainIp(address) };
  }

  /** Not reading while this is pending is the backpressure: the window of the stream fills up. */
  admit(messageBytes: number): undefined | Promise<undefined> {
    const bytes = messageBytes * bytesPerByte;
    if (this.#streams.tryTake(bytes)) {
      this.#heldBytes = bytes;
      return undefined;
    }
    return new Promise((resolve) => {
      this.#waiter = this.#streams.wait(bytes, () => {
        this.#waiter = undefined;
        this.#heldBytes = bytes;
        resolve(undefined);
      });
    });
  }

  place(messageBytes: number): Buffer | undefined {
    if (messageBytes < placedBytesMin) return undefined;
    this.#own = buffers.take(messageBytes);
    return this.#own;
  }

  /** Decompressed, it may be longer than what room was asked for. */
  message(message: Buffer): undefined | Promise<undefined> {
    const missing = message.length * bytesPerByte - this.#heldBytes;
    if (missing > 0 && !this.#streams.tryTake(missing)) return this.#overdraw(message, missing);
    if (missing > 0) this.#heldBytes += missing;
    return this.#pass(message);
  }

  async #overdraw(message: Buffer, missing: number): Promise<undefined> {
    this.#isHeldBack = true;
    this.#streams.heldBack.begin();
    await this.#streams.overdraw(missing);
    if (this.#isOver) return void this.#streams.give(missing);
    this.#endHeldBack();
    this.#heldBytes += missing;
    this.#pass(message);
  }

  #endHeldBack(): void {
    if (this.#isHeldBack) this.#streams.heldBack.end();
    this.#isHeldBack = false;
  }

  #pass(message: Buffer): undefined {
    const held = this.#heldBytes;
    const own = this.#own;
    this.#heldBytes = 0;
    this.#own = undefined;
    this.#streams.message(message, own, this, held);
    return undefined;
  }

  end(): GrpcReply {
    this.#leave();
    return empty;
  }

  abort(): void {
    this.#leave();
  }

  skipped(): void {
    this.#streams.skipped();
  }

  #leave(): void {
    this.#isOver = true;
    this.#endHeldBack();
    if (this.#waiter !== undefined) this.#streams.forget(this.#waiter);
    if (this.#own !== undefined) buffers.give(this.#own);
    this.#own = undefined;
    this.#streams.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#streams.closed(this);
  }

  /** Whether the connection was told to end. */
  get isLeaving(): boolean {
    return this.#stream.connection.isLeaving;
  }

  /** Answers OK: the proxy opens another stream when it has entries again. What is on its way is still read. */
  conclude(): void {
    if (!this.#stream.headersSent) sendReply(this.#stream, empty, true);
  }
}
