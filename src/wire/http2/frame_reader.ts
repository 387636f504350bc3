// Frames out of the bytes of a connection. DATA is passed on as it comes; other frames are short, and are given whole.

import { errorCode, flag, frameBytesMax, frameHeadBytes, frameType, preface } from './frames.ts';

export type FrameHead = {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly length: number;
};

/** `S` is what the receiver of DATA is. */
export type FrameEvents<S> = {
  /** A frame begins. For DATA: who gets it; undefined: nobody. */
  begin(head: FrameHead): S | undefined;
  /** Bytes of a DATA frame; valid during the call only. */
  data(to: S, bytes: Buffer, start: number, end: number): void;
  endData(to: S, endsStream: boolean): void;
  /** Any other frame, valid during the call only. */
  payload(head: FrameHead, payload: Buffer): void;
  /** Nothing is read after this. */
  broken(code: number): void;
};

const nothing = Buffer.alloc(0);

export class FrameReader<S> {
  readonly #events: FrameEvents<S>;
  #prefaceRead: number;
  #isFirst = true;
  #isStopped = false;
  #isHeld = false;
  /** The head of a frame, as far as it was cut off by the end of what was read. */
  readonly #head = Buffer.allocUnsafeSlow(frameHeadBytes);
  #headRead = 0;
  #frame: FrameHead = { type: 0, flags: 0, stream: 0, length: 0 };
  /** Bytes of the frame that have not come. */
  #left = 0;
  /** Of a DATA frame: whose it is, and its padding, which comes last. -1: how much there is has not come. */
  #to: S | undefined;
  #padding = 0;
  /** Of another frame that comes in pieces. */
  #payload: Buffer | undefined;

  /** A client says the preface before its frames, a server does not. */
  constructor(events: FrameEvents<S>, peer: 'client' | 'server' = 'client') {
    this.#events = events;
    this.#prefaceRead = peer === 'client' ? 0 : preface.length;
  }

  stop(): void {
    this.#isStopped = true;
    this.#isHeld = false;
    this.#payload = undefined;
    this.#to = undefined;
  }

  /** What the peer has begun and has to finish before anything else: the same object until then. */
  get unfinished(): object | undefined {
    if (this.#isFirst) return preface;
    return this.#left > 0 && this.#frame.type !== frameType.DATA ? this.#frame : undefined;
  }

  /** Reads nothing after this frame until `goOn`. */
  hold(): void {
    this.#isHeld = !this.#isStopped;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  goOn(): void {
    this.#isHeld = false;
  }

  /** Returns where it stopped: before `end` only when it is held, or was stopped. */
  read(bytes: Buffer, end: number): number {
    let at = this.#prefaceRead < preface.length ? this.#preface(bytes, end) : 0;
    while (at < end && !this.#isStopped && !this.#isHeld) {
      if (this.#left > 0) at = this.#go(bytes, at, end);
      else if (this.#headRead === 0 && end - at >= frameHeadBytes) {
        at += frameHeadBytes;
        this.#begin(bytes, at - frameHeadBytes);
      } else {
        const part = Math.min(frameHeadBytes - this.#headRead, end - at);
        bytes.copy(this.#head, this.#headRead, at, at + part);
        this.#headRead += part;
        at += part;
        if (this.#headRead < frameHeadBytes) return at;
        this.#headRead = 0;
        this.#begin(this.#head, 0);
      }
    }
    return at;
  }

  #break(code: number): number {
    this.stop();
    this.#events.broken(code);
    return 0;
  }

  #preface(bytes: Buffer, end: number): number {
    const part = Math.min(preface.length - this.#prefaceRead, end);
    const stop = this.#prefaceRead + part;
    if (preface.compare(bytes, 0, part, this.#prefaceRead, stop) !== 0) {
      return this.#break(errorCode.PROTOCOL_ERROR);
    }
    this.#prefaceRead = stop;
    return part;
  }

  #begin(bytes: Buffer, at: number): void {
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    if (length > frameBytesMax) {
      this.#break(errorCode.FRAME_SIZE_ERROR);
      return;
    }
    // Settings come first.
    if (this.#isFirst && type !== frameType.SETTINGS) {
      this.#break(errorCode.PROTOCOL_ERROR);
      return;
    }
    this.#isFirst = false;
    const frame = { type, flags, stream, length };
    this.#frame = frame;
    this.#left = length;
    this.#to = this.#events.begin(frame);
    this.#padding = 0;
    if (this.#isStopped) return;
    if (type === frameType.DATA && flags & flag.PADDED) {
      if (length === 0) this.#break(errorCode.FRAME_SIZE_ERROR);
      this.#padding = -1;
    } else if (length === 0) this.#end(nothing);
  }

  /** Reads on in a frame; returns where it stopped. */
  #go(bytes: Buffer, at: number, end: number): number {
    if (this.#frame.type === frameType.DATA) return this.#data(bytes, at, end);
    const part = Math.min(this.#left, end - at);
    const stop = at + part;
    this.#left -= part;
    if (part === this.#frame.length) {
      this.#end(bytes.subarray(at, stop));
      return stop;
    }
    this.#payload ??= Buffer.allocUnsafeSlow(this.#frame.length);
    bytes.copy(this.#payload, this.#frame.length - this.#left - part, at, stop);
    if (this.#left > 0) return stop;
    const payload = this.#payload;
    this.#payload = undefined;
    this.#end(payload);
    return stop;
  }

  #data(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.#padding < 0) {
      this.#padding = bytes[at++]!;
      this.#left--;
      if (this.#padding > this.#left) return this.#break(errorCode.PROTOCOL_ERROR);
    }
    const part = Math.min(this.#left - this.#padding, end - at);
    if (part > 0) {
      this.#left -= part;
      if (this.#to !== undefined) this.#events.data(this.#to, bytes, at, at + part);
      at += part;
    }
    if (this.#left <= this.#padding) {
      const padding = Math.min(this.#left, end - at);
      this.#left -= padding;
      this.#padding -= padding;
      at += padding;
    }
    if (this.#left === 0) this.#end(nothing);
    return at;
  }

  #end(payload: Buffer): void {
    const { type, flags } = this.#frame;
    if (type !== frameType.DATA) return this.#events.payload(this.#frame, payload);
    const to = this.#to;
    this.#to = undefined;
    if (to !== undefined && !this.#isStopped) {
      this.#events.endData(to, (flags & flag.END_STREAM) !== 0);
    }
  }
}
