// Frames on their way out. What is written while one event is dealt with leaves together.

import type { Socket } from 'node:net';
import { FrameWriter, flag, frameBytesMax, frameType, preface } from './frames.ts';

/** What a peer has not read yet: beyond this, it is not read either. */
const backlogBytesMax = 256 * 1024;
/** A connection that has ended is closed by the peer in this time, or by us; while there is something to read, later. */
const closeMs = 1000;
const closeRoundsMax = 5;
/** What a socket is given at once of a message that is not copied. Other frames have to wait behind it. */
const lentBytesMax = 1024 * 1024;
/** In front of headers: the table has no room from now on. */
const noTable = Buffer.from([0x20]);

export type Loan = {
  /** Whether the stream ends with these bytes. */
  readonly end: boolean;
  /** The longest frame that the peer takes. */
  readonly frameBytes: number;
  readonly taken: () => void;
};

export class FrameSender {
  readonly #out = new FrameWriter();
  #socket: Socket | undefined;
  #flushing: NodeJS.Immediate | undefined;
  /** Bytes that the socket has and that are not copies. */
  #lentBytes = 0;
  #hasShrunk = false;
  #mustShrink = false;

  /** `goOn`: the peer has read everything, and is read again. */
  start(socket: Socket, goOn: () => void): void {
    this.#socket = socket;
    socket.on('drain', () => {
      goOn();
      if (this.#unreadBytes <= backlogBytesMax) socket.resume();
    });
    this.flush();
  }

  /**
   * The peer keeps a smaller table than the default, and wants to hear with the next headers that we know (RFC 7541,
   * section 4.2). Ours are never remembered: it is told once that it may keep none.
   */
  shrinkTable(): void {
    if (this.#hasShrunk) return;
    this.#hasShrunk = true;
    this.#mustShrink = true;
  }

  /** Whether headers that were made before can be sent as they are. */
  get takesPrepared(): boolean {
    return !this.#mustShrink;
  }

  headers(stream: number, fields: Buffer, end: boolean): void {
    const block = this.#mustShrink ? Buffer.concat([noTable, fields]) : fields;
    this.#mustShrink = false;
    const ends = end ? flag.END_STREAM : 0;
    for (let at = 0; at === 0 || at < block.length; at += frameBytesMax) {
      const stop = Math.min(block.length, at + frameBytesMax);
      const last = stop === block.length ? flag.END_HEADERS : 0;
      const type = at === 0 ? frameType.HEADERS : frameType.CONTINUATION;
      this.#out.head(type, at === 0 ? ends | last : last, stream, stop - at);
      this.#out.bytes(block, at, stop);
    }
    this.#wake();
  }

  /** Frames that were made before, for a stream that is named at these places. */
  prepared(frames: Buffer, streamAt: readonly number[], stream: number): void {
    this.#out.patched(frames, streamAt, stream);
    this.#wake();
  }

  data(stream: number, bytes: Buffer, end = false): void {
    for (let at = 0; at < bytes.length; at += frameBytesMax) {
      const stop = Math.min(bytes.length, at + frameBytesMax);
      const flags = end && stop === bytes.length ? flag.END_STREAM : 0;
      this.#out.head(frameType.DATA, flags, stream, stop - at);
      this.#out.bytes(bytes, at, stop);
    }
    this.#wake();
  }

  /**
   * As `data`, at once and without a copy: the bytes belong to the socket until `taken`, which is called when the kernel
   * has them, and never if the connection ends before.
   */
  lend(stream: number, bytes: Buffer, { end, frameBytes, taken }: Loan): void {
    const socket = this.#socket;
    if (socket === undefined || !socket.writable) return;
    const done = (error?: Error | null): void => {
      this.#lentBytes -= bytes.length;
      // A socket that is destroyed calls back as if all were well.
      if (!error && !socket.destroyed) taken();
    };
    this.#lentBytes += bytes.length;
    socket.cork();
    for (let at = 0; at < bytes.length; at += frameBytes) {
      const stop = Math.min(bytes.length, at + frameBytes);
      const isLast = stop === bytes.length;
      this.#out.head(frameType.DATA, end && isLast ? flag.END_STREAM : 0, stream, stop - at);
      socket.write(this.#out.take());
      socket.write(bytes.subarray(at, stop), isLast ? done : undefined);
    }
    socket.uncork();
    this.#sleep();
  }

  /**
   * How much may be lent now: nothing until the kernel has what the socket was given, and then `goOn` is called. A socket
   * writes all that waits in one go, and says so at the end only: what is taken is heard of one by one.
   */
  get room(): number {
    return this.#socket?.writableNeedDrain === false ? lentBytesMax : 0;
  }

  /** What a client says first. */
  preface(): void {
    this.#out.bytes(preface);
  }

  reset(stream: number, code: number): void {
    this.#out.head(frameType.RST_STREAM, 0, stream, 4);
    this.#out.uint32(code);
    this.#wake();
  }

  /** `stream` 0: the connection. */
  windowUpdate(stream: number, bytes: number): void {
    this.#out.head(frameType.WINDOW_UPDATE, 0, stream, 4);
    this.#out.uint32(bytes);
    this.#wake();
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    this.#out.head(frameType.SETTINGS, 0, 0, values.length * 6);
    for (const [id, value] of values) {
      this.#out.bytes(Buffer.from([0, id]));
      this.#out.uint32(value);
    }
    this.#wake();
  }

  settingsAck(): void {
    this.#out.head(frameType.SETTINGS, flag.ACK, 0, 0);
    this.#wake();
  }

  ping(flags: number, payload: Buffer): void {
    this.#out.head(frameType.PING, flags, 0, payload.length);
    this.#out.bytes(payload);
    this.#wake();
  }

  goaway(lastStream: number, code: number): void {
    this.#out.head(frameType.GOAWAY, 0, 0, 8);
    this.#out.uint32(lastStream);
    this.#out.uint32(code);
    this.#wake();
  }

  /** The answers to one reading are many: they do not wait for its end. */
  relieve(): void {
    if (this.#out.length > backlogBytesMax) this.flush();
  }

  /** Whether the peer has to read before it may ask for more. */
  get isFull(): boolean {
    if (this.#out.length <= backlogBytesMax) return false;
    this.flush();
    return this.#unreadBytes > backlogBytesMax;
  }

  /** What the peer has asked for by what it sent, and leaves unread. What it lets us send is not its fault. */
  get #unreadBytes(): number {
    return (this.#socket?.writableLength ?? 0) - this.#lentBytes;
  }

  /** Whether the peer is not read because it does not read. */
  get isHeldBack(): boolean {
    return this.#socket?.isPaused() ?? true;
  }

  flush(): void {
    this.#sleep();
    const socket = this.#socket;
    if (socket === undefined || this.#out.length === 0) return;
    const bytes = this.#out.take();
    if (!socket.writable) return;
    socket.write(bytes);
    if (this.#unreadBytes > backlogBytesMax) socket.pause();
  }

  /** Says nothing more. The peer gets time to read the last words, and to close the connection itself. */
  end(): void {
    // What was lent has to be free now, and the last words would have to wait behind it.
    if (this.#lentBytes > 0) return this.destroy();
    this.flush();
    this.#socket?.end();
    this.#closeLater(1);
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  #closeLater(round: number): void {
    const close = (): void => {
      const isHeard = (this.#socket?.writableLength ?? 0) === 0;
      if (isHeard || round >= closeRoundsMax) this.destroy();
      else this.#closeLater(round + 1);
    };
    setTimeout(close, closeMs).unref();
  }

  #wake(): void {
    this.#flushing ??= setImmediate(() => this.flush());
  }

  /** Nothing waits any more. */
  #sleep(): void {
    clearImmediate(this.#flushing);
    this.#flushing = undefined;
  }
}
