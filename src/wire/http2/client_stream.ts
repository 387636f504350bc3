// One stream of HTTP/2 as a client has it: a request of one piece, and whoever reads the answer.

import type { ClientConnection } from './client_connection.ts';
import { errorCode, windowMax } from './frames.ts';
import type { Headers } from './header_reader.ts';

/** `block` has the headers, in HPACK. The bytes of `body` are not copied if they are many. */
export type Request = { readonly block: Buffer; readonly body: Buffer };

/** How a stream ended. */
export type StreamEnd =
  /** The peer has said everything, and has the whole request. */
  | { readonly kind: 'answered' }
  /** The peer has said everything, and does not have the whole request. */
  | { readonly kind: 'early' }
  /** The peer has reset it, under a code of HTTP/2. */
  | { readonly kind: 'reset'; readonly code: number }
  /** The peer has not looked at it. */
  | { readonly kind: 'untouched' }
  /** The connection ended, or the peer broke the rules. */
  | { readonly kind: 'lost'; readonly why: string };

export type AnswerReader = {
  /** Headers of the answer, or of what follows its bytes. */
  headers(headers: Headers, areTrailers: boolean): void;
  /** Bytes that came in. They stay valid during the call only. */
  data(bytes: Buffer, start: number, end: number): void;
  /** Whether what came says that the peer has taken the request. Only then the kernel has to have all of it. */
  isSuccess(): boolean;
  /** Nothing comes any more. Called once, unless `cancel` came first. */
  closed(end: StreamEnd): void;
};

/** Pieces shorter than this are copied: that costs less than a write of their own. */
const copiedBytesMax = 16 * 1024;

export class ClientStream {
  /** 0: its turn has not come. */
  id = 0;
  readonly #request: Request;
  readonly #reader: AnswerReader;
  readonly #connection: ClientConnection;
  /** The peer has ended its side. */
  remoteEnded = false;
  closed = false;
  /** What the peer lets us send, and what it may send. */
  sendWindow = 0;
  receiveWindow = 0;
  #hasHead = false;
  /** Of the body. */
  #sent = 0;
  /** Pieces that the kernel has not taken. */
  #lent = 0;
  /** The peer has not looked at it, and will not. */
  isRefused = false;

  constructor(connection: ClientConnection, request: Request, reader: AnswerReader) {
    this.#connection = connection;
    this.#request = request;
    this.#reader = reader;
  }

  /** Ends the stream in both directions; its reader hears nothing any more. The bytes of the body must be left alone. */
  cancel(): void {
    if (this.closed) return;
    this.closed = true;
    this.#connection.leave(this, errorCode.CANCEL);
  }

  /** @internal Its turn has come. */
  begin(windows: { readonly send: number; readonly receive: number }): void {
    this.sendWindow = windows.send;
    this.receiveWindow = windows.receive;
    const { block, body } = this.#request;
    this.#connection.out.headers(this.id, block, body.length === 0);
    this.flush();
  }

  /** @internal Sends what the windows let through. */
  flush(): void {
    const { windows, out } = this.#connection;
    const { body } = this.#request;
    if (this.isRefused) return;
    const room = Math.min(this.sendWindow, windows.room, out.room);
    if (!this.#isSent && room > 0) this.#send(Math.min(body.length, this.#sent + room));
    const waits = !this.#isSent && this.sendWindow > 0;
    if (waits) windows.waiting.add(this);
    else windows.waiting.delete(this);
  }

  get #isSent(): boolean {
    return this.#sent === this.#request.body.length;
  }

  /** Up to this place of the body. */
  #send(stop: number): void {
    const { windows, out } = this.#connection;
    const piece = this.#request.body.subarray(this.#sent, stop);
    this.#sent = stop;
    this.sendWindow -= piece.length;
    windows.room -= piece.length;
    if (piece.length < copiedBytesMax) {
      out.data(this.id, piece, this.#isSent);
      return;
    }
    this.#lent++;
    const taken = (): void => {
      this.#lent--;
      if (this.#lent === 0) this.#endIfDone();
    };
    out.lend(this.id, piece, { end: this.#isSent, frameBytes: windows.frameBytes, taken });
  }

  /** @internal More room of its own. False: that is nothing, or too much. */
  open(bytes: number): boolean {
    this.sendWindow += bytes;
    if (this.sendWindow > windowMax) return false;
    this.flush();
    return true;
  }

  /** @internal Bytes of a frame that begins; undefined: all is well. */
  receive(bytes: number): number | undefined {
    this.receiveWindow -= bytes;
    if (this.remoteEnded) return errorCode.STREAM_CLOSED;
    if (!this.#hasHead) return errorCode.PROTOCOL_ERROR;
    return this.receiveWindow < 0 ? errorCode.FLOW_CONTROL_ERROR : undefined;
  }

  /** @internal */
  receiveData(bytes: Buffer, start: number, end: number): void {
    if (!this.closed) this.#reader.data(bytes, start, end);
  }

  /** @internal Headers; undefined: all is well. */
  receiveHeaders(headers: Headers, ends: boolean): number | undefined {
    if (this.remoteEnded) return errorCode.STREAM_CLOSED;
    const status = headers[':status'];
    if (this.#hasHead) {
      if (status !== undefined || !ends) return errorCode.PROTOCOL_ERROR;
      this.#reader.headers(headers, true);
    } else {
      if (status === undefined || (status !== '200' && !/^[1-9]\d\d$/.test(status))) {
        return errorCode.PROTOCOL_ERROR;
      }
      // The answer is still to come.
      if (status.startsWith('1')) return ends ? errorCode.PROTOCOL_ERROR : undefined;
      this.#hasHead = true;
      this.#reader.headers(headers, false);
    }
    if (ends) this.endRemote();
    return undefined;
  }

  /** @internal The peer has ended its side. */
  endRemote(): void {
    if (this.closed) return;
    this.remoteEnded = true;
    this.#endIfDone();
  }

  /**
   * The bytes may be used anew after a success, and may be sent elsewhere after a refusal: the kernel has to have those
   * that the socket was given.
   */
  #endIfDone(): void {
    if (!this.remoteEnded || this.closed) return;
    const isKept = this.isRefused || (this.#isSent && this.#reader.isSuccess());
    if (isKept && this.#lent > 0) return;
    const isWhole = this.isRefused || this.#isSent;
    this.#connection.leave(this, isWhole ? undefined : errorCode.CANCEL);
    if (this.isRefused) this.close({ kind: 'untouched' });
    else this.close({ kind: this.#isSent ? 'answered' : 'early' });
  }

  /** @internal The peer has reset it. */
  resetRemote(code: number): void {
    // What it has said before may be a whole answer, and only the kernel is waited for.
    if (this.remoteEnded && this.#isSent) return;
    if (code === errorCode.REFUSED_STREAM) return this.refuse();
    this.#connection.leave(this);
    this.close({ kind: 'reset', code });
  }

  /** @internal The peer has not looked at it, and will not. */
  refuse(): void {
    this.isRefused = true;
    this.#connection.windows.waiting.delete(this);
    this.endRemote();
  }

  /** @internal The connection is gone, and its socket with what it was given. */
  lose(why: string): void {
    this.close(this.isRefused || this.id === 0 ? { kind: 'untouched' } : { kind: 'lost', why });
  }

  /** @internal */
  close(end: StreamEnd): void {
    if (this.closed) return;
    this.closed = true;
    this.#reader.closed(end);
  }
}
