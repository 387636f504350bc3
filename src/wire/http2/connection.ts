// One connection of HTTP/2 as a server has it (RFC 9113). node:http2 takes three to five times the CPU for a call of
// 16 KiB, holds the 64 KiB that a chunk was read with for as long as the chunk waits, and refuses streams of peers that
// keep to the limit.

import type { Socket } from 'node:net';
import type { Ahead } from './ahead.ts';
import { type Block, BlockReader } from './block_reader.ts';
import { type FrameHead, FrameReader } from './frame_reader.ts';
import { faultOf } from './frame_rules.ts';
import { FrameSender } from './frame_sender.ts';
import { errorCode, flag, frameType, setting, windowDefault, windowMax } from './frames.ts';
import { HeaderReader, type Headers } from './header_reader.ts';
import { PeerWindows } from './peer_windows.ts';
import { Resets } from './resets.ts';
import { Stream, type StreamReader } from './stream.ts';

export type ConnectionOptions = {
  /** Streams that the peer may have open. Further ones are refused, and it may try them again. */
  readonly streamsMax: number;
  readonly headerListBytesMax: number;
  readonly headerPairsMax: number;
  /** What the peer may send on a stream before that is read. */
  readonly windowBytes: number;
  /** What it may send beyond that: the same for all connections of a server. */
  readonly ahead: Ahead;
  /** A request; undefined: nobody reads it. */
  readonly open: (stream: Stream, headers: Headers) => StreamReader | undefined;
  /** The peer does not speak HTTP/2, or breaks its rules: the connection ends. */
  readonly broken: () => void;
  readonly closed: () => void;
};

const connectionWindowBytes = 1024 * 1024;
const nothing = Buffer.alloc(0);

export class Connection {
  readonly streams = new Map<number, Stream>();
  readonly windows = new PeerWindows();
  readonly remoteAddress: string | undefined;
  /** When something came in last, by performance.now(). */
  heardMs = performance.now();
  /** When the last stream was over. */
  usedMs = this.heardMs;
  /** Takes no new streams: either side has said so. */
  isLeaving = false;
  readonly out = new FrameSender();
  readonly #options: ConnectionOptions;
  readonly #frames: FrameReader<Stream>;
  readonly #headers: HeaderReader;
  #isDead = false;
  #isEnding = false;
  /** What the peer may send on all streams, and whether it has heard what it may send on each. */
  #window = windowDefault;
  #isAgreed = false;
  /** The last stream that the peer has opened, and the last that we have said to deal with. */
  #lastStream = 0;
  #lastTaken = Number.POSITIVE_INFINITY;
  readonly #blocks = new BlockReader();
  /** What was read while the peer left too much unread, and was not looked at. */
  #rest = nothing;
  readonly #resets = new Resets();
  #pinged: (() => void) | undefined;

  /** `socket` gives what it reads to `read`. */
  constructor(options: ConnectionOptions, remoteAddress: string | undefined) {
    this.#options = options;
    this.remoteAddress = remoteAddress;
    this.#headers = new HeaderReader({
      listBytesMax: options.headerListBytesMax,
      pairsMax: options.headerPairsMax,
    });
    this.#frames = new FrameReader({
      begin: (head) => this.#begin(head),
      data: (stream, bytes, start, end) => {
        if (stream.closed) return;
        stream.missing -= end - start;
        if (stream.missing < 0) this.#fault(stream, errorCode.PROTOCOL_ERROR);
        else stream.reader?.data(bytes, start, end);
      },
      endData: (stream, ends) => {
        if (ends) this.#endRemote(stream);
      },
      payload: (head, payload) => {
        this.#payload(head, payload);
        // Answers can be longer than what asks for them.
        if (this.out.isFull) this.#frames.hold();
      },
      broken: (code) => this.#broken(code),
    });
  }

  /** Says what we ask of the peer. */
  start(socket: Socket): void {
    socket.on('error', () => undefined);
    socket.on('close', () => this.#gone());
    const { streamsMax, headerListBytesMax, windowBytes } = this.#options;
    this.out.settings([
      [setting.MAX_CONCURRENT_STREAMS, streamsMax],
      [setting.MAX_HEADER_LIST_SIZE, headerListBytesMax],
      [setting.INITIAL_WINDOW_SIZE, windowBytes],
    ]);
    if (windowBytes === windowDefault) this.#agree();
    this.out.start(socket, () => this.#goOn());
  }

  /** What the socket has read: the first `end` of these bytes, which stay valid during the call only. */
  read(bytes: Buffer, end: number): void {
    this.heardMs = performance.now();
    const at = this.#rest.length > 0 ? 0 : this.#frames.read(bytes, end);
    if (this.#frames.isHeld) this.#rest = Buffer.concat([this.#rest, bytes.subarray(at, end)]);
    this.out.relieve();
  }

  /** The peer has read what it had left unread. */
  #goOn(): void {
    const rest = this.#rest;
    this.#rest = nothing;
    this.#frames.goOn();
    if (rest.length > 0) this.read(rest, rest.length);
  }

  /** Takes no new streams; once those that are open have ended, the connection does. */
  leave(): void {
    if (this.isLeaving || this.#isDead) return;
    this.isLeaving = true;
    this.#goaway(errorCode.NO_ERROR);
    this.#endIfIdle();
  }

  destroy(): void {
    this.out.destroy();
    this.#gone();
  }

  get isDestroyed(): boolean {
    return this.#isDead;
  }

  /**
   * What the peer has begun and has to finish before anything else, its greeting or a block of headers, or the word that
   * it has heard how much it may send: the same object until then. While we do not read, it cannot.
   */
  get unfinished(): object | undefined {
    if (this.out.isHeldBack) return undefined;
    return this.#blocks.begun ?? this.#frames.unfinished ?? (this.#isAgreed ? undefined : this);
  }

  /** The peer does not go on with what it has begun. */
  giveUp(): void {
    this.#broken(this.#isAgreed ? errorCode.PROTOCOL_ERROR : errorCode.SETTINGS_TIMEOUT);
  }

  /** One at a time. */
  ping(answered: () => void): void {
    this.#pinged = answered;
    this.out.ping(0, Buffer.alloc(8));
  }

  /** @internal */ get ahead(): Ahead {
    return this.#options.ahead;
  }

  /** @internal What a stream that is read, and has `own` ahead, may have open ahead. */
  aheadBytes(own: number): number {
    const share = Math.floor(connectionWindowBytes / this.streams.size);
    return Math.max(this.#options.windowBytes, Math.min(share, this.ahead.share(own)));
  }

  /** @internal Ends a stream of ours in both directions. */
  reset(id: number, code: number): void {
    this.out.reset(id, code);
    this.#resets.add(id);
  }

  /** @internal Our side of a stream has ended: the peer wakes up for that, and need not wake up for its window. */
  ended(): void {
    if (this.#isAgreed && this.#window < connectionWindowBytes * 0.75) this.#open();
  }

  /** @internal A stream is over. */
  close(stream: Stream): void {
    this.streams.delete(stream.id);
    this.windows.waiting.delete(stream);
    if (this.streams.size === 0) this.usedMs = performance.now();
    stream.leave();
    if (this.isLeaving) this.#endIfIdle();
  }

  #goaway(code: number): void {
    this.#lastTaken = Math.min(this.#lastTaken, this.#lastStream);
    this.out.goaway(this.#lastTaken, code);
  }

  #endIfIdle(): void {
    if (this.streams.size > 0 || this.#isEnding || this.#isDead) return;
    this.#isEnding = true;
    this.out.end();
  }

  #broken(code: number): void {
    if (this.#isDead) return;
    this.#goaway(code);
    this.#options.broken();
    this.out.end();
    this.#gone();
  }

  #gone(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.isLeaving = true;
    this.#frames.stop();
    const open = [...this.streams.values()];
    this.streams.clear();
    this.windows.waiting.clear();
    for (const stream of open) stream.leave();
    this.#options.closed();
  }

  /** Before the peer has heard what it may send on each stream, it may send the default on all of them together. */
  #agree(): void {
    if (this.#isAgreed) return;
    this.#isAgreed = true;
    const less = windowDefault - this.#options.windowBytes;
    for (const stream of this.streams.values()) stream.shrink(less, this.#options.windowBytes);
    this.#open();
  }

  #open(): void {
    this.out.windowUpdate(0, connectionWindowBytes - this.#window);
    this.#window = connectionWindowBytes;
  }

  /** A frame whose payload comes. For DATA: whose it is; undefined: nobody's. */
  #begin(head: FrameHead): Stream | undefined {
    const { type, stream: id, length } = head;
    const isKnown = type === frameType.HEADERS || id <= this.#lastStream;
    const code = this.#blocks.allows(type, id) ? faultOf(head, isKnown) : errorCode.PROTOCOL_ERROR;
    if (code !== undefined) {
      this.#broken(code);
      return undefined;
    }
    if (type !== frameType.DATA) return undefined;
    // The connection's window is for all streams: those that wait have their own.
    this.#window -= length;
    if (this.#window < 0) {
      this.#broken(errorCode.FLOW_CONTROL_ERROR);
      return undefined;
    }
    if (this.#isAgreed && this.#window < connectionWindowBytes / 2) this.#open();
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (!this.#resets.has(id)) this.reset(id, errorCode.STREAM_CLOSED);
      return undefined;
    }
    if (stream.remoteEnded) this.#fault(stream, errorCode.STREAM_CLOSED);
    else if (!stream.receive(length)) this.#fault(stream, errorCode.FLOW_CONTROL_ERROR);
    return stream.closed ? undefined : stream;
  }

  /** The peer has broken the rules on a stream. */
  #fault(stream: Stream, code: number): void {
    stream.reset(code);
    this.#charge();
  }

  /** Something of the peer's costs more here than there. */
  #charge(): void {
    if (!this.#resets.bear(this.heardMs)) this.#broken(errorCode.ENHANCE_YOUR_CALM);
  }

  /** A whole frame other than DATA, with a head that is right. */
  #payload(head: FrameHead, payload: Buffer): void {
    switch (head.type) {
      case frameType.HEADERS:
        return this.#block(this.#blocks.begin(head, payload));
      case frameType.CONTINUATION:
        return this.#block(this.#blocks.continue(head, payload));
      case frameType.RST_STREAM:
        return this.#reset(head.stream);
      case frameType.SETTINGS:
        return this.#settings(head.flags, payload);
      case frameType.PING:
        return this.#ping(head.flags, payload);
      case frameType.GOAWAY:
        // It opens no more streams; those that are open go on.
        return this.leave();
      case frameType.WINDOW_UPDATE:
        return this.#windowUpdate(head.stream, payload.readUInt32BE(0) & 0x7fffffff);
      case frameType.PUSH_PROMISE:
        return this.#broken(errorCode.PROTOCOL_ERROR);
      default:
        // Priorities, and extensions that we do not know.
        return;
    }
  }

  #block(block: Block | number | undefined): void {
    if (typeof block === 'number') this.#broken(block);
    else if (block !== undefined) this.#request(block.stream, block.flags, block.bytes);
  }

  #request(id: number, flags: number, block: Buffer): void {
    const head = this.#headers.read(block);
    if (head === undefined) return this.#broken(errorCode.COMPRESSION_ERROR);
    const ends = (flags & flag.END_STREAM) !== 0;
    if (id <= this.#lastStream) return this.#trailers(id, ends);
    const mayOpen = !this.isLeaving && this.streams.size < this.#options.streamsMax;
    this.#lastStream = id;
    if (!mayOpen) return this.reset(id, errorCode.REFUSED_STREAM);
    if (head.problem !== undefined) {
      const isLong = head.problem === 'too_long';
      return this.reset(id, isLong ? errorCode.ENHANCE_YOUR_CALM : errorCode.PROTOCOL_ERROR);
    }
    const receive = this.#isAgreed ? this.#options.windowBytes : windowDefault;
    const windows = { receive, send: this.windows.initial };
    const stream = new Stream(id, this, windows);
    const length = head.headers['content-length'];
    if (length !== undefined) stream.missing = Number(length);
    this.streams.set(id, stream);
    stream.reader = this.#options.open(stream, head.headers);
    if (ends) this.#endRemote(stream);
  }

  #endRemote(stream: Stream): void {
    if (stream.closed) return;
    if (stream.missing > 0) this.#fault(stream, errorCode.PROTOCOL_ERROR);
    else stream.endRemote();
  }

  /** Headers of a stream that was opened before: they end it, and nobody needs what they say. */
  #trailers(id: number, ends: boolean): void {
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (!this.#resets.has(id)) this.#broken(errorCode.STREAM_CLOSED);
    } else if (stream.remoteEnded) this.#fault(stream, errorCode.STREAM_CLOSED);
    else if (!ends) this.#fault(stream, errorCode.PROTOCOL_ERROR);
    else this.#endRemote(stream);
  }

  #reset(id: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    // After our answer it is a peer's way to say that it has nothing more.
    const isAnswered = stream.localEnded;
    this.close(stream);
    if (!isAnswered) this.#charge();
  }

  #settings(flags: number, payload: Buffer): void {
    if (flags & flag.ACK) return this.#agree();
    const { problem, more } = this.windows.set(payload);
    if (problem !== undefined) return this.#broken(problem);
    if (this.windows.hasSmallTable) this.out.shrinkTable();
    this.out.settingsAck();
    if (more === 0) return;
    // Every stream is looked at.
    this.#charge();
    for (const stream of this.streams.values()) {
      stream.sendWindow += more;
      if (stream.sendWindow > windowMax) return this.#broken(errorCode.FLOW_CONTROL_ERROR);
      if (more > 0) stream.flush();
    }
  }

  #ping(flags: number, payload: Buffer): void {
    if ((flags & flag.ACK) === 0) return this.out.ping(flag.ACK, payload);
    const answered = this.#pinged;
    this.#pinged = undefined;
    answered?.();
  }

  #windowUpdate(id: number, bytes: number): void {
    if (id === 0) {
      if (!this.windows.open(bytes)) this.#broken(errorCode.FLOW_CONTROL_ERROR);
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    stream.sendWindow += bytes;
    if (bytes === 0) this.#fault(stream, errorCode.PROTOCOL_ERROR);
    else if (stream.sendWindow > windowMax) this.#fault(stream, errorCode.FLOW_CONTROL_ERROR);
    else stream.flush();
  }
}
