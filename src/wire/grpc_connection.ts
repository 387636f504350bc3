// One HTTP/2 connection of a gRPC client: made when it is wanted, and anew, with a pause that grows, when it is gone.

import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type Address, addressText } from './address.ts';
import { answerBytesMax, type GrpcOutcome, unary, untouched } from './grpc_unary.ts';
import { ClientConnection } from './http2/client_connection.ts';
import type { Request } from './http2/client_stream.ts';

export type GrpcConnectionOptions = {
  /** Options of tls.connect; undefined: plain text. */
  readonly tls: ConnectionOptions | undefined;
  /** HTTP/2 pings. Undefined: none. */
  readonly keepalive: GrpcKeepalive | undefined;
};

export type GrpcKeepalive = {
  /** Milliseconds between pings, and for an answer to one. */
  readonly time: number;
  readonly timeout: number;
  /** Also while no call is under way. */
  readonly permit_without_stream: boolean;
};

const firstPauseMs = 100;
const longestPauseMs = 1000;
const connectMsMax = 10_000;
/** A peer that went away without a word is left after so many calls in a row that nobody waited for any more. */
const givenUpMax = 2;
/** TCP's own probes find a peer that is gone while nothing is sent. */
const tcpProbeMs = 60_000;
/** What all connections read with: answers are short. */
const readBuffer = Buffer.allocUnsafeSlow(16 * 1024);

export class GrpcConnection {
  readonly address: Address;
  readonly #options: GrpcConnectionOptions;
  /** The one that takes calls, and all that there are. */
  #connection: ClientConnection | undefined;
  readonly #open = new Set<ClientConnection>();
  #connecting: Promise<void> | undefined;
  #givenUp = 0;
  #failures = 0;
  #failure = new Error('not connected');
  #retryAtMs = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(address: Address, options: GrpcConnectionOptions) {
    this.address = address;
    this.#options = options;
  }

  /** Takes new calls now. */
  get ready(): boolean {
    return this.#connection?.takesCalls === true;
  }

  /** A call on a connection that is ready. */
  async call(request: Request, signal: AbortSignal | undefined): Promise<GrpcOutcome> {
    const connection = this.#connection;
    if (!connection?.takesCalls) return untouched;
    const outcome = await unary(connection, request, signal);
    if (connection !== this.#connection) return outcome;
    this.#givenUp = outcome.code !== 0 && signal?.aborted ? this.#givenUp + 1 : 0;
    if (this.#givenUp >= givenUpMax) {
      this.#givenUp = 0;
      connection.retire();
    }
    return outcome;
  }

  /**
   * Resolves when it is connected. While the peer cannot be reached this rejects at once, and another attempt is made
   * when the pause is over, so that a later call finds the connection made.
   */
  wanted(): Promise<void> {
    if (this.ready) return Promise.resolve();
    if (this.#closed) return Promise.reject(new Error('closed'));
    if (this.#connecting !== undefined) return this.#connecting;
    const pauseMs = this.#retryAtMs - performance.now();
    if (pauseMs <= 0) return this.#attempt();
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      if (!this.#closed) this.wanted().catch(() => undefined);
    }, pauseMs);
    this.#retry.unref();
    return Promise.reject(this.#failure);
  }

  /** Takes no more calls; those under way end first. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const connection of [...this.#open]) connection.retire();
  }

  #attempt(): Promise<void> {
    this.#connecting = this.#connect()
      .then(
        () => {
          this.#failures = 0;
        },
        (error: Error) => {
          this.#failed(error);
          throw error;
        },
      )
      .finally(() => {
        this.#connecting = undefined;
      });
    return this.#connecting;
  }

  #failed(error: Error): void {
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(this.#failures, 10));
    this.#failures++;
    this.#failure = error;
    this.#retryAtMs = performance.now() + pauseMs * (0.8 + Math.random() * 0.4);
  }

  /** Resolves once the peer has said that it speaks HTTP/2. */
  #connect(): Promise<void> {
    const { address } = this;
    return new Promise((resolve, reject) => {
      // What cannot be used of certificates is thrown here, and rejects the promise.
      const socket = openSocket(address, this.#options.tls, (bytes, end) => {
        connection.read(bytes, end);
      });
      let failure: Error | undefined;
      let stopPings = (): void => undefined;
      const connection: ClientConnection = new ClientConnection({
        // One byte more than is right shows that an answer is too long.
        answerWindow: answerBytesMax + 1,
        ready: () => {
          clearTimeout(limit);
          this.#connection = connection;
          this.#givenUp = 0;
          stopPings = this.#pings(connection);
          resolve();
        },
        leaving: () => {
          // Calls under way go on; new ones belong on another connection.
          if (this.#connection === connection) this.#connection = undefined;
        },
        closed: (why) => {
          clearTimeout(limit);
          stopPings();
          this.#open.delete(connection);
          if (this.#connection === connection) this.#connection = undefined;
          const text = `cannot connect to ${addressText(address)}: ${reasonOf(failure) || why}`;
          reject(new Error(text, { cause: failure }));
        },
      });
      const limit = setTimeout(() => connection.destroy('no answer in time'), connectMsMax);
      this.#open.add(connection);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, tcpProbeMs);
      socket.on('error', (error) => {
        failure = error;
      });
      socket.on('secureConnect', () => {
        const isOffered = (socket as TLSSocket).alpnProtocol === 'h2';
        if (!isOffered) connection.destroy('the peer does not offer HTTP/2');
      });
      connection.start(socket);
    });
  }

  /** Returns what ends them. */
  #pings(connection: ClientConnection): () => void {
    const { keepalive } = this.#options;
    if (keepalive === undefined || keepalive.time <= 0) return () => undefined;
    let overdue: NodeJS.Timeout | undefined;
    const timer = setInterval(() => {
      if (overdue !== undefined) return;
      if (connection.isIdle && !keepalive.permit_without_stream) return;
      overdue = setTimeout(() => connection.destroy('no answer to a ping'), keepalive.timeout);
      connection.ping(() => {
        clearTimeout(overdue);
        overdue = undefined;
      });
    }, keepalive.time);
    timer.unref();
    return () => {
      clearInterval(timer);
      clearTimeout(overdue);
    };
  }
}

function openSocket(
  address: Address,
  tls: ConnectionOptions | undefined,
  read: (bytes: Buffer, end: number) => void,
): Socket {
  const options = {
    ...(address.kind === 'unix'
      ? { path: address.path }
      : { host: address.host, port: address.port }),
    onread: {
      buffer: readBuffer,
      callback: (bytes: number): boolean => {
        read(readBuffer, bytes);
        return true;
      },
    },
  };
  if (tls === undefined) return connect(options);
  return connectTls({ ...tls, ...options, ALPNProtocols: ['h2'] });
}

/** One line. The error of a host with several addresses is a list without text of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  return error instanceof Error ? error.message : '';
}
