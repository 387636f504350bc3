// One outgoing connection that comes back: writes that resolve when the kernel has the bytes.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type Address, addressText } from './address.ts';

export type OutgoingOptions = {
  readonly address: Address;
  /** Options of tls.connect, asked for at each new connection. Absent: plain text. */
  readonly tls?: (() => Promise<ConnectionOptions>) | undefined;
  readonly connectTimeoutMs: number;
  /** A write that makes no progress for so long ends the connection. */
  readonly writeTimeoutMs: number;
  /** A silent connection is probed after so long. */
  readonly keepAliveMs: number;
  readonly onConnect?: () => void;
  /** The connection is gone, and up to so many bytes that the kernel had taken may not have reached the peer. */
  readonly onLost?: (uncertainBytes: number) => void;
};

/** Most that the kernels of both sides usually hold between our write and the peer's read. */
export const inFlightBytesMax = 16 * 1024 * 1024;

/** After an orderly end only what was written just before can have missed the peer. */
const recentMs = 1000;
/** Some peers accept and close at once; TLS 1.3 refuses a client certificate only after the handshake. */
const settleMs = 20;
const settleTlsMs = 200;
const firstPauseMs = 100;
const longestPauseMs = 5000;
/** A connection that lived so long was a good one. */
const goodAfterMs = 5000;
/** A connection that was idle so long is looked at before it is used. */
const idleMs = 5;
const closeMsMax = 1000;

/**
 * Connects on the first write, and anew when the connection is gone, pausing longer after each failure. One write at a
 * time. After a failed write its bytes are not in anybody's use any more, and the connection is closed, so that the
 * same bytes can be written again from their beginning.
 */
export class Outgoing {
  readonly #options: OutgoingOptions;
  #socket: Socket | undefined;
  #closing = false;
  #failures = 0;
  #failedAtMs = 0;
  #connectedAtMs = 0;
  #writtenAtMs = 0;
  /** Bytes that the kernel took on this connection: all, this second's, the second's before. */
  #flushed = 0;
  #recent = 0;
  #recentSinceMs = 0;
  #before = 0;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#socket !== undefined;
  }

  /** Resolves when the kernel has all bytes; rejects when the connection fails, hangs, or `signal` aborts. */
  async write(pieces: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    const socket = await this.#usable(signal);
    const abort = (): void => void socket.destroy(asError(signal.reason));
    signal.addEventListener('abort', abort);
    socket.setTimeout(this.#options.writeTimeoutMs);
    try {
      await flush(socket, pieces);
    } catch (error) {
      throw this.#failure('write to', error);
    } finally {
      signal.removeEventListener('abort', abort);
      socket.setTimeout(0);
    }
    this.#account(pieces);
  }

  /** Ends the connection after what was written. */
  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#closing = true;
    socket.end();
    const closed = once(socket, 'close').catch(() => undefined);
    await Promise.race([closed, sleep(closeMsMax, undefined, { ref: false })]);
    socket.destroy();
  }

  async #usable(signal: AbortSignal): Promise<Socket> {
    if (this.#socket !== undefined && performance.now() - this.#writtenAtMs > idleMs) {
      // Two rounds of the event loop let an end or a reset that has already arrived be noticed before the write.
      await nextRound();
      await nextRound();
    }
    if (this.#socket !== undefined) return this.#socket;
    try {
      await this.#pause(signal);
      signal.throwIfAborted();
      return await this.#connect(signal);
    } catch (error) {
      throw this.#failure('connect to', error);
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    if (this.#failures === 0) return;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(this.#failures - 1, 10));
    const leftMs = this.#failedAtMs + pauseMs - performance.now();
    if (leftMs > 0) await sleep(leftMs, undefined, { signal });
  }

  async #connect(signal: AbortSignal): Promise<Socket> {
    const { address, tls, connectTimeoutMs, keepAliveMs } = this.#options;
    const to = address.kind === 'unix' ? { path: address.path } : address;
    const secure = await tls?.();
    const socket = secure === undefined ? connect(to) : connectTls({ ...secure, ...to });
    const limit = AbortSignal.any([signal, AbortSignal.timeout(connectTimeoutMs)]);
    const abort = (): void => void socket.destroy(asError(limit.reason));
    limit.addEventListener('abort', abort);
    socket.on('error', () => undefined);
    // Whatever a peer says is read and ignored: only so its end is seen.
    socket.resume();
    try {
      await opened(socket, secure === undefined ? 'connect' : 'secureConnect');
      socket.setNoDelay(true);
      socket.setKeepAlive(true, keepAliveMs);
      await settled(socket, secure?.cert === undefined ? settleMs : settleTlsMs);
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      limit.removeEventListener('abort', abort);
    }
    this.#begin(socket);
    return socket;
  }

  #begin(socket: Socket): void {
    this.#socket = socket;
    this.#connectedAtMs = performance.now();
    this.#flushed = 0;
    this.#recent = 0;
    this.#before = 0;
    let orderly = false;
    socket.on('end', () => {
      orderly = true;
      socket.destroy();
    });
    socket.on('timeout', () => {
      socket.destroy(new Error(`no progress for ${this.#options.writeTimeoutMs} ms`));
    });
    socket.on('close', () => {
      this.#socket = undefined;
      if (performance.now() - this.#connectedAtMs < goodAfterMs) this.#failed();
      else this.#failures = 0;
      this.#options.onLost?.(Math.min(this.#uncertain(orderly), inFlightBytesMax));
    });
    this.#options.onConnect?.();
  }

  #account(pieces: readonly Uint8Array[]): void {
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    const nowMs = performance.now();
    if (nowMs - this.#recentSinceMs > recentMs) {
      this.#before = nowMs - this.#recentSinceMs > 2 * recentMs ? 0 : this.#recent;
      this.#recent = 0;
      this.#recentSinceMs = nowMs;
    }
    this.#recent += bytes;
    this.#flushed += bytes;
    this.#writtenAtMs = nowMs;
    if (nowMs - this.#connectedAtMs > goodAfterMs) this.#failures = 0;
  }

  /** A peer that ends before us has read all but what was on its way; one that ends after us has read everything. */
  #uncertain(orderly: boolean): number {
    if (!orderly) return this.#flushed;
    if (this.#closing) return 0;
    const ageMs = performance.now() - this.#recentSinceMs;
    if (ageMs > 2 * recentMs) return 0;
    return this.#recent + (ageMs > recentMs ? 0 : this.#before);
  }

  #failed(): void {
    this.#failures++;
    this.#failedAtMs = performance.now();
  }

  #failure(what: string, error: unknown): Error {
    if (what === 'connect to') this.#failed();
    const where = addressText(this.#options.address);
    return new Error(`cannot ${what} ${where}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Writes all pieces at once. Rejects only after the socket is closed, when nothing reads them any more. */
function flush(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const onError = (error: Error): void => {
      failure ??= error;
    };
    const onClose = (): void => {
      socket.off('error', onError);
      reject(failure ?? new Error('the peer closed the connection'));
    };
    socket.on('error', onError);
    socket.once('close', onClose);
    if (socket.closed) onClose();
    if (socket.destroyed) return;
    const done = (error?: Error | null): void => {
      if (error) return;
      socket.off('error', onError);
      socket.off('close', onClose);
      resolve();
    };
    if (pieces.length > 1) socket.cork();
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i] as Uint8Array;
      if (i === pieces.length - 1) socket.write(piece, done);
      else socket.write(piece);
    }
    if (pieces.length > 1) socket.uncork();
  });
}

function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve());
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the peer closed the connection')));
  });
}

/** A moment for the peer to show that it does not want us. A TLS session ticket shows that it does. */
function settled(socket: Socket, waitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const timer = setTimeout(resolve, waitMs);
    const refused = (): void => {
      clearTimeout(timer);
      reject(failure ?? new Error('the peer closed the connection'));
    };
    socket.once('session', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('error', (error) => {
      failure = error;
    });
    socket.once('end', refused);
    socket.once('close', refused);
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** One line. The error of a host with several addresses is a list without text of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  if (error instanceof Error && error.name === 'TimeoutError') return 'no answer in time';
  return error instanceof Error ? error.message : String(error);
}
