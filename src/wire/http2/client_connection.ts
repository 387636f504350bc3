// One connection of HTTP/2 as a client has it (RFC 9113). node:http2 takes four times the CPU for a call of 16 KiB.

import type { Socket } from 'node:net';
import { type Block, BlockReader } from './block_reader.ts';
import { type AnswerReader, ClientStream, type Request } from './client_stream.ts';
import { ClientTurns } from './client_turns.ts';
import { type FrameHead, FrameReader } from './frame_reader.ts';
import { faultOf } from './frame_rules.ts';
import { FrameSender } from './frame_sender.ts';
import { errorCode, errorName, flag, frameType, setting } from './frames.ts';
import { answerRules, HeaderReader } from './header_reader.ts';
import { PeerWindows } from './peer_windows.ts';

export type ClientConnectionOptions = {
  /** What the peer may send of one answer; less than 2 GiB. It gets no more. */
  readonly answerWindow: number;
  /** The peer has said that it speaks HTTP/2. */
  readonly ready: () => void;
  /** Takes no more calls. Those under way go on. */
  readonly leaving: () => void;
  /** The connection is gone, for this reason. */
  readonly closed: (why: string) => void;
};

const headerLimits = { listBytesMax: 16 * 1024, pairsMax: 256 };
/** The connection's window is the default, and is opened again after so much. */
const receivedBytesMax = 16 * 1024;
const debugTextMax = 100;

export class ClientConnection {
  readonly windows = new PeerWindows();
  readonly out = new FrameSender();
  readonly #options: ClientConnectionOptions;
  readonly #frames: FrameReader<ClientStream>;
  readonly #blocks = new BlockReader();
  readonly #headers = new HeaderReader(headerLimits, answerRules);
  readonly #turns: ClientTurns;
  #isReady = false;
  #isLeaving = false;
  #isDead = false;
  #received = 0;
  #pinged: (() => void) | undefined;
  /** Why the connection ends, where the peer or the socket has said so. */
  #reason = '';

  /** `socket` gives what it reads to `read`. `firstId`: streams are counted from there. */
  constructor(options: ClientConnectionOptions, firstId = 1) {
    this.#options = options;
    this.#turns = new ClientTurns(firstId);
    this.#frames = new FrameReader(
      {
        begin: (head) => this.#begin(head),
        data: (stream, bytes, start, end) => stream.receiveData(bytes, start, end),
        endData: (stream, ends) => {
          if (ends) stream.endRemote();
        },
        payload: (head, payload) => this.#payload(head, payload),
        broken: (code) => this.#broken(code, 'what it sent'),
      },
      'server',
    );
  }

  /** Says who we are. The socket may still be connecting. */
  start(socket: Socket): void {
    socket.on('error', (error) => {
      this.#reason ||= error.message;
    });
    socket.on('end', () => this.destroy());
    socket.on('close', () => this.destroy());
    this.out.preface();
    this.out.settings([
      [setting.ENABLE_PUSH, 0],
      [setting.INITIAL_WINDOW_SIZE, this.#options.answerWindow],
      [setting.MAX_HEADER_LIST_SIZE, headerLimits.listBytesMax],
    ]);
    this.out.start(socket, () => this.windows.flush());
  }

  /** What the socket has read: the first `end` of these bytes, which stay valid during the call only. */
  read(bytes: Buffer, end: number): void {
    this.#frames.read(bytes, end);
    this.out.relieve();
  }

  /** Whether the peer has greeted and takes calls. */
  get takesCalls(): boolean {
    return this.#isReady && !this.#isLeaving;
  }

  get isIdle(): boolean {
    return this.#turns.isEmpty;
  }

  /** Only while it takes calls. A call waits for its turn if the peer wants it to. */
  request(request: Request, reader: AnswerReader): ClientStream {
    const stream = new ClientStream(this, request, reader);
    this.#turns.wait(stream);
    this.#beginNext();
    return stream;
  }

  /** One at a time. */
  ping(answered: () => void): void {
    this.#pinged = answered;
    this.out.ping(0, Buffer.alloc(8));
  }

  /** Takes no more calls, and ends when those under way have ended. */
  retire(): void {
    if (!this.#isLeaving) {
      this.#isLeaving = true;
      this.#options.leaving();
    }
    this.#endIfIdle();
  }

  /** Ends at once. */
  destroy(why = this.#reason): void {
    this.out.destroy();
    const silent = this.#isReady ? 'the connection was lost' : 'the peer closed the connection';
    this.#gone(why || silent);
  }

  /** @internal A stream is over; for the peer, too, if a code says why. */
  leave(stream: ClientStream, code?: number): void {
    this.windows.waiting.delete(stream);
    const wasOpen = this.#turns.delete(stream);
    if (wasOpen && code !== undefined) this.out.reset(stream.id, code);
    if (wasOpen) this.#beginNext();
    this.#endIfIdle();
  }

  #beginNext(): void {
    for (;;) {
      const stream = this.#turns.next(this.windows.streamsMax);
      if (stream === undefined) break;
      stream.begin({ send: this.windows.initial, receive: this.#options.answerWindow });
    }
    if (this.#turns.isUsedUp) this.#stopCalls();
  }

  /** What waits goes elsewhere. */
  #stopCalls(): void {
    const waiting = this.#turns.takeWaiting();
    this.retire();
    for (const stream of waiting) stream.refuse();
  }

  #endIfIdle(): void {
    if (this.#isLeaving && this.#turns.isOver) this.destroy('closed');
  }

  #gone(why: string): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#isLeaving = true;
    this.#frames.stop();
    const streams = [...this.#turns.above(0), ...this.#turns.takeWaiting()];
    this.#turns.open.clear();
    this.windows.waiting.clear();
    for (const stream of streams) stream.lose(why);
    this.#options.closed(why);
  }

  /** The peer breaks the rules; `what` it did. */
  #broken(code: number, what: string): void {
    if (this.#isDead) return;
    this.out.goaway(0, code);
    this.out.end();
    this.#gone(this.#isReady ? breach(code, what) : 'the peer does not speak HTTP/2');
  }

  /** A frame whose payload comes. For DATA: whose it is; undefined: nobody's. */
  #begin(head: FrameHead): ClientStream | undefined {
    const { type, stream: id, length } = head;
    const isAllowed = this.#blocks.allows(type, id);
    const code = isAllowed ? faultOf(head, this.#turns.hasOpened(id)) : errorCode.PROTOCOL_ERROR;
    if (code !== undefined) {
      this.#broken(code, `a frame of type ${type} and ${length} bytes for stream ${id}`);
      return undefined;
    }
    if (type !== frameType.DATA) return undefined;
    // The connection's window is for all streams: each has its own, and nothing waits to be read.
    this.#received += length;
    if (this.#received > receivedBytesMax) {
      this.out.windowUpdate(0, this.#received);
      this.#received = 0;
    }
    const stream = this.#turns.open.get(id);
    if (stream === undefined) return undefined;
    const fault = stream.receive(length);
    if (fault === undefined) return stream;
    this.#fault(stream, fault, 'its answer');
    return undefined;
  }

  /** The peer has broken the rules on a stream. */
  #fault(stream: ClientStream, code: number, what: string): void {
    this.leave(stream, code);
    stream.close({ kind: 'lost', why: breach(code, what) });
  }

  /** A whole frame other than DATA, with a head that is right. */
  #payload(head: FrameHead, payload: Buffer): void {
    switch (head.type) {
      case frameType.HEADERS:
        return this.#block(this.#blocks.begin(head, payload));
      case frameType.CONTINUATION:
        return this.#block(this.#blocks.continue(head, payload));
      case frameType.RST_STREAM:
        return this.#turns.open.get(head.stream)?.resetRemote(payload.readUInt32BE(0));
      case frameType.SETTINGS:
        return this.#settings(head.flags, payload);
      case frameType.PING:
        return this.#ping(head.flags, payload);
      case frameType.GOAWAY:
        return this.#goaway(payload);
      case frameType.WINDOW_UPDATE:
        return this.#windowUpdate(head.stream, payload.readUInt32BE(0) & 0x7fffffff);
      case frameType.PUSH_PROMISE:
        return this.#broken(errorCode.PROTOCOL_ERROR, 'a push');
      default:
        // Priorities, and extensions that we do not know.
        return;
    }
  }

  #block(block: Block | number | undefined): void {
    if (block === undefined) return;
    if (typeof block === 'number') return this.#broken(block, 'headers');
    const head = this.#headers.read(block.bytes);
    if (head === undefined) return this.#broken(errorCode.COMPRESSION_ERROR, 'headers');
    const stream = this.#turns.open.get(block.stream);
    // Its headers were read for what they say of those to come.
    if (stream === undefined) return;
    const code =
      head.problem === undefined
        ? stream.receiveHeaders(head.headers, (block.flags & flag.END_STREAM) !== 0)
        : errorCode.PROTOCOL_ERROR;
    if (code === undefined) return;
    this.#fault(stream, code, head.problem === 'too_long' ? 'headers too long' : 'headers');
  }

  #settings(flags: number, payload: Buffer): void {
    if (flags & flag.ACK) return;
    const { problem, more } = this.windows.set(payload);
    if (problem !== undefined) return this.#broken(problem, 'its settings');
    if (this.windows.hasSmallTable) this.out.shrinkTable();
    this.out.settingsAck();
    if (more !== 0 && ![...this.#turns.open.values()].every((stream) => stream.open(more))) {
      return this.#broken(errorCode.FLOW_CONTROL_ERROR, 'its settings');
    }
    if (!this.#isReady) {
      this.#isReady = true;
      this.#options.ready();
    }
    this.#beginNext();
  }

  #ping(flags: number, payload: Buffer): void {
    if ((flags & flag.ACK) === 0) return this.out.ping(flag.ACK, payload);
    const answered = this.#pinged;
    this.#pinged = undefined;
    answered?.();
  }

  #goaway(payload: Buffer): void {
    const last = payload.readUInt32BE(0) & 0x7fffffff;
    const code = payload.readUInt32BE(4);
    const text = payload.toString('latin1', 8, 8 + debugTextMax).replace(/[^ -~]+/g, ' ');
    if (code !== errorCode.NO_ERROR) {
      this.#reason = `the peer closed the connection: ${errorName(code)} ${text}`.trim();
    }
    const late = this.#turns.above(last);
    this.#stopCalls();
    for (const stream of late) stream.refuse();
    // One that has said so may not read on, and then those that were refused would never leave the socket.
    this.#endIfIdle();
  }

  #windowUpdate(id: number, bytes: number): void {
    if (id === 0) {
      if (!this.windows.open(bytes)) this.#broken(errorCode.FLOW_CONTROL_ERROR, 'its window');
      return;
    }
    const stream = this.#turns.open.get(id);
    if (stream === undefined) return;
    if (bytes === 0) this.#fault(stream, errorCode.PROTOCOL_ERROR, 'a window of nothing');
    else if (!stream.open(bytes)) this.#fault(stream, errorCode.FLOW_CONTROL_ERROR, 'its window');
  }
}

const breach = (code: number, what: string): string =>
  `the peer broke the rules of HTTP/2 with ${what}: ${errorName(code)}`;
