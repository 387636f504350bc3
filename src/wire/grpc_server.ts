// A gRPC server on HTTP/2 of our own (http2/connection.ts): it can tell connections apart, by limits, identities, age.

import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Address } from './address.ts';
import type { CertificateSource } from './certificates.ts';
import { Decompression } from './decompression.ts';
import {
  GrpcCall,
  type GrpcCallOptions,
  type GrpcStatus,
  grpcCode,
  internal,
} from './grpc_call.ts';
import type { GrpcMethod } from './grpc_method.ts';
import { sendHttpStatus, sendReply } from './grpc_reply.ts';
import { Ahead } from './http2/ahead.ts';
import { Connection } from './http2/connection.ts';
import { windowDefault } from './http2/frames.ts';
import type { Headers } from './http2/header_reader.ts';
import type { Stream, StreamReader } from './http2/stream.ts';
import { boundAddress, listen, stopListening } from './listen.ts';
import { readShared } from './shared_read.ts';
import { spiffeAllowed, spiffeId } from './spiffe.ts';
import { keepFresh, type ServerTls, serverOptions } from './tls.ts';

export type GrpcServerOptions = {
  readonly address: Address;
  /** Permissions of a unix socket. */
  readonly socketMode?: number;
  readonly tls?: { readonly settings: ServerTls; readonly certificates: CertificateSource };
  /** With client certificates: only these identities; empty: any. */
  readonly allowedSpiffeIds: readonly string[];
  readonly maxConnections: number;
  /** Per connection. */
  readonly maxConcurrentStreams: number;
  readonly messageBytesMax: number;
  readonly keepalive: {
    /** Milliseconds without a word until a ping; 0: none. */
    readonly time: number;
    readonly timeout: number;
    /** Milliseconds; 0: no limit. */
    readonly maxConnectionAge: number;
    readonly maxConnectionAgeGrace: number;
    readonly maxConnectionIdle: number;
  };
  /**
   * A request of one message must be complete after this many milliseconds, each message of a stream this long after
   * there was room for it, and a peer must let its answer through as fast; 0: no limit.
   */
  readonly requestTimeout: number;
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  /** Refuses a call by its headers. */
  readonly authorize?: (headers: Headers) => GrpcStatus | undefined;
  /** A connection was closed at once. `peer` is who showed which identity. */
  readonly refused?: (reason: 'limit' | 'tls' | 'identity' | 'protocol', peer?: string) => void;
  /** A call was refused, or broke off. */
  readonly refusedCall?: (reason: string) => void;
};

const headerListBytesMax = 16 * 1024;
const headerPairsMax = 64;
/**
 * What a peer may send on a stream of messages before that is read. While there is no room it stays in memory, on each
 * of the streams; for a request of one message that costs a round trip, and there is no second message behind it.
 */
const streamingWindowBytes = 1024;
const handshakeTimeoutMs = 10_000;
/** A greeting and a block of headers are a few packets: whoever has begun one sends all of it in this time. */
const unfinishedMs = 10_000;
/** All connections in plain text are read through one buffer: what is in it is dealt with before the next is read. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);
const sweepMsMax = 1000;
/** Of a path that nobody knows, this much is said back. */
const unknownPathMax = 100;
/** Connections that are told to end, by either side, are looked after more closely. */
const leavingPingMs = 1000;
const leavingTimeoutMs = 5000;

type Session = {
  readonly connection: Connection;
  /** A random part of the age, so that not all peers reconnect at once. */
  readonly expiresMs: number;
  pingSentMs: number;
  closingMs: number;
  /** What the peer has begun, and when that was seen. */
  unfinished: object | undefined;
  unfinishedMs: number;
};

export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #server: Server;
  readonly #sessions = new Set<Session>();
  readonly #ahead = new Ahead();
  readonly #callOptions: GrpcCallOptions;
  readonly #windowBytes: number;
  #sweep: NodeJS.Timeout | undefined;
  #drained: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    const { tls, refused, methods } = options;
    const isStreaming = [...methods.values()].some(({ streaming }) => streaming);
    this.#windowBytes = isStreaming ? streamingWindowBytes : windowDefault;
    this.#callOptions = {
      messageBytesMax: options.messageBytesMax,
      decompression: new Decompression(),
      refused: options.refusedCall,
    };
    if (tls === undefined) {
      const settings = { pauseOnConnect: true, noDelay: true };
      this.#server = createServer(settings, (socket) => this.#accept(socket, 'plain'));
      return;
    }
    const secure = createTlsServer({
      ...serverOptions(tls.settings, tls.certificates),
      ALPNProtocols: ['h2'],
      handshakeTimeout: handshakeTimeoutMs,
      noDelay: true,
    });
    keepFresh(secure, tls.settings, tls.certificates);
    secure.maxConnections = options.maxConnections;
    secure.on('drop', () => refused?.('limit'));
    secure.on('tlsClientError', () => refused?.('tls'));
    secure.on('secureConnection', (socket: TLSSocket) => {
      if (socket.alpnProtocol !== 'h2') {
        refused?.('protocol');
        socket.destroy();
      } else if (this.#knows(socket)) this.#accept(socket, 'tls');
      else socket.destroy();
    });
    this.#server = secure;
  }

  /** Rejects with `cannot listen on ...`. */
  async listen(): Promise<void> {
    const { address, socketMode } = this.#options;
    await listen(this.#server, address, socketMode === undefined ? {} : { socketMode });
    this.#server.on('error', () => undefined);
    this.#sweep = setInterval(() => this.#sweepSessions(), sweepMs(this.#options));
    this.#sweep.unref();
  }

  get address(): Address {
    return boundAddress(this.#server, this.#options.address);
  }

  /** Open connections. */
  get connections(): number {
    return this.#sessions.size;
  }

  /**
   * Takes no new calls: peers are told to go elsewhere. Resolves when the calls under way have been answered, or after
   * `graceMs`.
   */
  async stop(graceMs: number): Promise<void> {
    stopListening(this.#server);
    for (const { connection } of this.#sessions) connection.leave();
    if (this.#sessions.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        this.#drained = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    clearInterval(this.#sweep);
    for (const { connection } of this.#sessions) connection.destroy();
  }

  #accept(accepted: Socket, kind: 'plain' | 'tls'): void {
    const { maxConnections, maxConcurrentStreams, refused, keepalive } = this.#options;
    // A plain connection leaves its first socket, so that the server itself cannot count it.
    if (this.#sessions.size >= maxConnections) {
      refused?.('limit');
      accepted.destroy();
      return;
    }
    const connection = new Connection(
      {
        streamsMax: maxConcurrentStreams,
        headerListBytesMax,
        headerPairsMax,
        windowBytes: this.#windowBytes,
        ahead: this.#ahead,
        open: (stream, headers) => this.#call(stream, headers),
        broken: () => refused?.('protocol'),
        closed: () => {
          this.#sessions.delete(session);
          if (this.#sessions.size === 0) this.#drained?.();
        },
      },
      accepted.remoteAddress,
    );
    const nowMs = connection.heardMs;
    const { maxConnectionAge } = keepalive;
    const session: Session = {
      connection,
      expiresMs:
        maxConnectionAge === 0
          ? Number.POSITIVE_INFINITY
          : nowMs + maxConnectionAge * (0.9 + Math.random() * 0.2),
      pingSentMs: 0,
      closingMs: 0,
      unfinished: undefined,
      unfinishedMs: 0,
    };
    this.#sessions.add(session);
    let socket = accepted;
    if (kind === 'plain') {
      socket = readShared(accepted, shared, (bytes) => connection.read(shared, bytes));
    } else accepted.on('data', (chunk: Buffer) => connection.read(chunk, chunk.length));
    connection.start(socket);
    socket.resume();
  }

  /** Whether the peer's identity is allowed. */
  #knows(socket: TLSSocket): boolean {
    const { allowedSpiffeIds, refused } = this.#options;
    if (allowedSpiffeIds.length === 0) return true;
    const id = spiffeId(socket.getPeerCertificate());
    if (spiffeAllowed(id, allowedSpiffeIds)) return true;
    refused?.('identity', id ?? 'a peer without SPIFFE identity');
    return false;
  }

  #call(stream: Stream, headers: Headers): StreamReader | undefined {
    const { methods, authorize, refusedCall: refused } = this.#options;
    if (headers[':method'] !== 'POST' || !isGrpc(headers['content-type'])) {
      refused?.('not_grpc');
      sendHttpStatus(stream, headers[':method'] === 'POST' ? 415 : 405, false);
      return undefined;
    }
    const method = methods.get(headers[':path'] ?? '');
    try {
      const refusal = authorize?.(headers);
      const called = { method: method ?? nowhere, headers, options: this.#callOptions };
      const call = new GrpcCall(stream, called);
      if (method === undefined) {
        const details = `unknown method ${headers[':path']?.slice(0, unknownPathMax)}`;
        call.fail({ code: grpcCode.UNIMPLEMENTED, details, reason: 'unknown_method' });
      } else if (refusal !== undefined) call.fail(refusal);
      return call;
    } catch (error) {
      // A defect of ours: the other calls are none the worse.
      refused?.('defect');
      sendReply(stream, internal(error), false);
      return undefined;
    }
  }

  #sweepSessions(): void {
    const nowMs = performance.now();
    for (const known of this.#sessions) {
      this.#sweepUnfinished(known, nowMs);
      this.#sweepCalls(known, nowMs);
      this.#sweepAge(known, nowMs);
      this.#sweepPing(known, nowMs);
    }
  }

  /** Pings do not find those out who answer none, and those that send a byte now and then. */
  #sweepUnfinished(known: Session, nowMs: number): void {
    const { requestTimeout } = this.#options;
    const { unfinished } = known.connection;
    if (unfinished === undefined || unfinished !== known.unfinished) {
      known.unfinished = unfinished;
      known.unfinishedMs = nowMs;
      return;
    }
    const timeout = requestTimeout > 0 ? Math.min(unfinishedMs, requestTimeout) : unfinishedMs;
    if (nowMs - known.unfinishedMs > timeout) known.connection.giveUp();
  }

  #sweepCalls({ connection }: Session, nowMs: number): void {
    const { requestTimeout } = this.#options;
    if (requestTimeout === 0) return;
    for (const { reader } of connection.streams.values()) {
      if (!(reader instanceof GrpcCall)) continue;
      if (nowMs - reader.waitingSinceMs > requestTimeout) reader.giveUp();
    }
  }

  #sweepAge(known: Session, nowMs: number): void {
    const { maxConnectionAgeGrace, maxConnectionIdle } = this.#options.keepalive;
    const { streams, usedMs } = known.connection;
    const idleMs = streams.size === 0 ? nowMs - usedMs : 0;
    const isIdle = maxConnectionIdle > 0 && idleMs > maxConnectionIdle;
    if (known.closingMs > 0) {
      if (maxConnectionAgeGrace > 0 && nowMs - known.closingMs > maxConnectionAgeGrace) {
        known.connection.destroy();
      }
    } else if (isIdle || nowMs > known.expiresMs) {
      known.closingMs = nowMs;
      known.connection.leave();
    }
  }

  #sweepPing(known: Session, nowMs: number): void {
    const { keepalive } = this.#options;
    const { isLeaving } = known.connection;
    const time = isLeaving ? leavingPingMs : keepalive.time;
    const timeout = isLeaving ? Math.min(leavingTimeoutMs, keepalive.timeout) : keepalive.timeout;
    if (time === 0) return;
    if (known.pingSentMs > 0) {
      if (nowMs - known.pingSentMs > timeout) known.connection.destroy();
    } else if (nowMs - known.connection.heardMs > time) {
      known.pingSentMs = nowMs;
      known.connection.ping(() => {
        known.pingSentMs = 0;
      });
    }
  }
}

/** Often enough for the shortest of the limits in time. */
function sweepMs({ keepalive, requestTimeout }: GrpcServerOptions): number {
  const limits = [...Object.values(keepalive), requestTimeout].filter((ms) => ms > 0);
  return Math.max(10, Math.min(sweepMsMax, ...limits.map((ms) => ms / 4)));
}

const isGrpc = (contentType: string | undefined): boolean =>
  contentType === 'application/grpc' || /^application\/grpc(\+proto)?(;|$)/.test(contentType ?? '');

const nowhere: GrpcMethod = {
  streaming: false,
  open: () => ({ message: () => undefined, end: () => ({ code: 12, details: '' }) }),
};
