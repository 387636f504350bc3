// One HTTP/2 connection of a gRPC client: made when it is wanted, and anew, with a pause that grows, when it is gone.

import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type Address, addressText } from './address.ts';
import { type GrpcOutcome, type UnaryRequest, unary, untouched } from './grpc_unary.ts';

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
/** TCP's own probes find a peer that is gone while nothing is sent. */
const tcpProbeMs = 60_000;
const headerListBytesMax = 16 * 1024;

export class GrpcConnection {
  readonly address: Address;
  readonly #options: GrpcConnectionOptions;
  #session: ClientHttp2Session | undefined;
  #socket: Socket | undefined;
  #connecting: Promise<void> | undefined;
  #failures = 0;
  #failure = new Error('not connected');
  #retryAtMs = 0;
  #retry: NodeJS.Timeout | undefined;
  #calls = 0;
  #closed = false;

  constructor(address: Address, options: GrpcConnectionOptions) {
    this.address = address;
    this.#options = options;
  }

  /** Takes new calls now. */
  get ready(): boolean {
    const session = this.#session;
    return session !== undefined && !session.closed && !session.destroyed;
  }

  /** A call on a connection that is ready. */
  async call(request: UnaryRequest): Promise<GrpcOutcome> {
    const session = this.#session;
    if (session === undefined || !this.ready) return untouched;
    this.#calls++;
    const outcome = await unary(session, request);
    this.#calls--;
    if (this.#closed && this.#calls === 0) this.#socket?.destroy();
    return outcome;
  }

  /**
   * Resolves when it is connected. While the peer cannot be reached this rejects at once, and another attempt is made
   * when the pause is over, so that a later call finds the connection made.
   */
  wanted(): Promise<void> {
    if (this.ready) return Promise.resolve();
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
    this.#session = undefined;
    clearTimeout(this.#retry);
    // The socket ends the session, even where a peer has stopped to read.
    if (this.#calls === 0) this.#socket?.destroy();
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
      const socket = openSocket(address, this.#options.tls);
      this.#socket = socket;
      socket.setNoDelay(true);
      socket.setKeepAlive(true, tcpProbeMs);
      const session = connectHttp2(`http://${addressText(address).replace(/^unix:.*/, 'unix')}`, {
        createConnection: () => socket,
        settings: { enablePush: false, maxHeaderListSize: headerListBytesMax },
        // Requests are bounded by whoever makes them; answers by their window.
        maxSessionMemory: 1024,
      });
      const limit = setTimeout(() => fail(new Error('no answer in time')), connectMsMax);
      let failure: Error | undefined;
      const fail = (error: Error): void => {
        failure ??= error;
        session.destroy();
        socket.destroy();
      };
      session.on('error', fail);
      session.on('close', () => {
        clearTimeout(limit);
        socket.destroy();
        if (this.#session === session) this.#session = undefined;
        const why = reasonOf(failure) || 'the peer closed the connection';
        reject(new Error(`cannot connect to ${addressText(address)}: ${why}`, { cause: failure }));
      });
      session.once('remoteSettings', () => {
        clearTimeout(limit);
        if ((socket as TLSSocket).encrypted && (socket as TLSSocket).alpnProtocol !== 'h2') {
          return fail(new Error('the peer does not offer HTTP/2'));
        }
        if (this.#closed) return fail(new Error('closed'));
        this.#begin(session);
        resolve();
      });
    });
  }

  #begin(session: ClientHttp2Session): void {
    this.#session = session;
    // Calls under way go on; new ones belong on another connection.
    session.once('goaway', () => {
      if (this.#session === session) this.#session = undefined;
    });
    const { keepalive } = this.#options;
    if (keepalive === undefined || keepalive.time <= 0) return;
    let overdue: NodeJS.Timeout | undefined;
    const timer = setInterval(() => {
      if (overdue !== undefined || (this.#calls === 0 && !keepalive.permit_without_stream)) return;
      overdue = setTimeout(
        () => session.destroy(new Error('no answer to a ping')),
        keepalive.timeout,
      );
      const answered = (): void => {
        clearTimeout(overdue);
        overdue = undefined;
      };
      if (!session.destroyed) session.ping(answered);
    }, keepalive.time);
    timer.unref();
    session.once('close', () => {
      clearInterval(timer);
      clearTimeout(overdue);
    });
  }
}

function openSocket(address: Address, tls: ConnectionOptions | undefined): Socket {
  const to =
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  if (tls === undefined) return connect(to);
  return connectTls({ ...tls, ...to, ALPNProtocols: ['h2'] });
}

/** One line. The error of a host with several addresses is a list without text of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  return error instanceof Error ? error.message : '';
}
