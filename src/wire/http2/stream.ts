// One stream of HTTP/2 as a server has it: somebody reads it, and it is answered.

import type { Connection } from './connection.ts';
import { windowMax } from './frames.ts';

/** Reads one stream. */
export type StreamReader = {
  /** Bytes that came in. They stay valid during the call only. */
  data(bytes: Buffer, start: number, end: number): void;
  /** The peer has said everything. */
  end(): void;
  /** Nothing comes any more and nothing can be sent. Called once. */
  closed(): void;
};

/** Frames made in advance that answer a stream and end it. */
export type PreparedAnswer = {
  readonly frames: Buffer;
  /** Where in them the stream is named. */
  readonly streamAt: readonly number[];
  /** Of them, what counts against the windows of the peer. */
  readonly dataBytes: number;
};

const nothing = Buffer.alloc(0);

export class Stream {
  readonly id: number;
  readonly connection: Connection;
  reader: StreamReader | undefined;
  /** The peer has ended its side. */
  remoteEnded = false;
  /** We have ended ours: everything was sent. */
  localEnded = false;
  headersSent = false;
  /** Bytes that the peer has said will come, and have not. NaN: it has not said. */
  missing = Number.NaN;
  /** No more bytes of ours will follow those that wait. */
  #ending = false;
  closed = false;
  /** What the peer may send, and what we may send. */
  receiveWindow: number;
  sendWindow: number;
  /** How much of what the peer may send nobody has asked for; what has come of it meanwhile is still counted. */
  #ahead = 0;
  /** What waits for a window of the peer, and the headers behind it. */
  #waiting: Buffer = nothing;
  #trailers: Buffer | undefined;

  constructor(
    id: number,
    connection: Connection,
    windows: { readonly receive: number; readonly send: number },
  ) {
    this.id = id;
    this.connection = connection;
    this.receiveWindow = windows.receive;
    this.sendWindow = windows.send;
  }

  /** Whether nothing more can be said here. */
  get isOver(): boolean {
    return this.closed || this.#ending;
  }

  /** Headers as a block of HPACK. */
  respond(block: Buffer, end: boolean): void {
    if (this.isOver) return;
    this.headersSent = true;
    this.connection.out.headers(this.id, block, end);
    if (end) this.#ended();
  }

  write(bytes: Buffer): void {
    if (this.isOver) return;
    this.#waiting = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes]);
    this.flush();
  }

  /** Ends our side with headers, a block of HPACK, once everything before is sent. */
  end(trailers: Buffer): void {
    if (this.isOver) return;
    this.#ending = true;
    this.#trailers = trailers;
    this.flush();
  }

  /** All at once, where the windows have room for it; false: they have not. */
  answer({ frames, streamAt, dataBytes }: PreparedAnswer): boolean {
    const { windows, out } = this.connection;
    if (this.sendWindow < dataBytes || windows.room < dataBytes || !out.takesPrepared) return false;
    this.sendWindow -= dataBytes;
    windows.room -= dataBytes;
    this.headersSent = true;
    out.prepared(frames, streamAt, this.id);
    this.#ended();
    return true;
  }

  /** Ends the stream in both directions at once. */
  reset(code: number): void {
    if (this.closed) return;
    this.connection.reset(this.id, code);
    this.connection.close(this);
  }

  /**
   * Reading goes on, and so many bytes of a message are missing: the peer may send them all at once. While this is not
   * called, the peer can send no more than what its window has left.
   */
  allow(missing: number): void {
    if (this.remoteEnded || this.closed) return;
    const ahead = this.connection.aheadBytes(this.#ahead);
    if (this.receiveWindow < Math.max(missing, ahead / 2)) this.#open(Math.max(missing, ahead));
    this.#goAhead(Math.max(0, this.receiveWindow - missing));
  }

  /**
   * @internal The peer has heard that it may send less on each stream than it may have thought. What it has sent by then
   * is given back to it: there was not much of it, on all streams.
   */
  shrink(bytes: number, least: number): void {
    this.receiveWindow -= bytes;
    this.#goAhead(Math.max(0, this.#ahead - bytes));
    if (this.receiveWindow < least && !this.remoteEnded) this.#open(least);
  }

  #open(bytes: number): void {
    const window = Math.min(windowMax, bytes);
    this.connection.out.windowUpdate(this.id, window - this.receiveWindow);
    this.receiveWindow = window;
  }

  #goAhead(bytes: number): void {
    if (bytes === this.#ahead) return;
    this.connection.ahead.take(bytes - this.#ahead);
    this.#ahead = bytes;
  }

  /** @internal Sends what the windows let through. */
  flush(): void {
    const { windows, out } = this.connection;
    const room = Math.min(this.sendWindow, windows.room);
    if (this.#waiting.length > 0 && room > 0) {
      const sent = Math.min(room, this.#waiting.length);
      out.data(this.id, this.#waiting.subarray(0, sent));
      this.sendWindow -= sent;
      windows.room -= sent;
      this.#waiting = sent === this.#waiting.length ? nothing : this.#waiting.subarray(sent);
    }
    if (this.#waiting.length > 0 && this.sendWindow > 0) {
      windows.waiting.add(this);
      return;
    }
    windows.waiting.delete(this);
    if (this.#waiting.length > 0) return;
    if (this.#trailers === undefined) return;
    out.headers(this.id, this.#trailers, true);
    this.#trailers = undefined;
    this.#ended();
  }

  #ended(): void {
    this.#ending = true;
    this.localEnded = true;
    this.connection.ended();
    if (this.remoteEnded) this.connection.close(this);
  }

  /** @internal The peer has ended its side. */
  endRemote(): void {
    this.remoteEnded = true;
    this.#goAhead(0);
    if (this.localEnded) this.connection.close(this);
    else this.reader?.end();
  }

  /** @internal */ leave(): void {
    if (this.closed) return;
    this.closed = true;
    this.#ending = true;
    this.#waiting = nothing;
    this.#goAhead(0);
    this.reader?.closed();
  }

  /** @internal Bytes of a frame that begins; false: the peer has no window for them. */
  receive(bytes: number): boolean {
    this.receiveWindow -= bytes;
    return this.receiveWindow >= 0;
  }
}
