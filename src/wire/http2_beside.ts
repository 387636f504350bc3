// HTTP/2 on the port of an HTTP/1.1 server: with TLS whoever agrees on it, in plain text whoever begins with its preface.

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type ServerHttp2Session,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

export type Http2BesideOptions = {
  /** Milliseconds; 0: no limit. A request must have come in whole after so long. */
  readonly requestTimeout: number;
  /** Milliseconds of silence after which a connection is ended, once its requests are answered; 0: never. */
  readonly idleTimeout: number;
  /** What a plain connection may take until it has said which protocol it speaks. */
  readonly firstWordsTimeout: number;
  /** A connection that does not speak HTTP/2 after all. */
  readonly broken: () => void;
  readonly timedOut: (request: object) => void;
};

/** What TLS offers to peers. */
export const alpnProtocols = ['h2', 'http/1.1'];

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const streamsMax = 128;
const streamWindowBytes = 256 * 1024;
const connectionWindowBytes = 1024 * 1024;

const limits = {
  settings: {
    maxConcurrentStreams: streamsMax,
    initialWindowSize: streamWindowBytes,
    maxHeaderListSize: 16 * 1024,
    enablePush: false,
  },
  maxHeaderListPairs: 64,
  // Streams over the limit are refused one by one; a busy peer must not lose its connection for a hundred of them.
  maxSessionRejectedStreams: 1_000_000,
};

type Listener = (this: Server, socket: Socket) => void;

/** Requests of both protocols go to the same listener. */
export class Http2Beside {
  readonly #options: Http2BesideOptions;
  readonly #server: Http2Server;
  /** With how many requests that are not answered yet. */
  readonly #sessions = new Map<ServerHttp2Session, number>();

  constructor(onRequest: RequestListener, options: Http2BesideOptions) {
    this.#options = options;
    this.#server = createServer(limits);
    this.#server.on('session', (session) => this.#accept(session));
    this.#server.on('sessionError', () => undefined);
    this.#server.on('request', (request, response) => {
      this.#limit(request);
      this.#count(request.stream.session, response);
      // The library promises that these look like those of HTTP/1.1.
      onRequest(
        request as unknown as IncomingMessage,
        response as unknown as ServerResponse<IncomingMessage> & { req: IncomingMessage },
      );
    });
  }

  /** From now on connections of this server may speak HTTP/2. Its own listener must be the first one. */
  attach(server: Server, transport: 'plain' | 'tls'): void {
    const event = transport === 'tls' ? 'secureConnection' : 'connection';
    const [http1] = server.listeners(event) as Listener[];
    if (http1 === undefined) throw new Error('the server takes no connections');
    server.removeListener(event, http1);
    server.on(event, (socket: Socket) => {
      const go = (isHttp2: boolean): void => {
        if (isHttp2) this.#server.emit('connection', socket);
        else http1.call(server, socket);
      };
      if (transport === 'plain') this.#listenToFirstWords(socket, go);
      else if (!socket.destroyed) go((socket as TLSSocket).alpnProtocol === 'h2');
    });
  }

  /** Takes no new requests; those under way go on. */
  close(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  destroy(): void {
    for (const session of this.#sessions.keys()) session.destroy();
  }

  #listenToFirstWords(socket: Socket, go: (isHttp2: boolean) => void): void {
    const leave = (): void => void socket.destroy();
    let words = Buffer.alloc(0);
    const look = (): void => {
      const more: Buffer | null = socket.read();
      if (more === null) return;
      words = Buffer.concat([words, more]);
      const length = Math.min(words.length, preface.length);
      const isHttp2 = words.compare(preface, 0, length, 0, length) === 0;
      if (isHttp2 && length < preface.length) return;
      socket.off('readable', look);
      socket.off('error', leave);
      socket.off('end', leave);
      socket.off('timeout', leave);
      socket.setTimeout(0);
      // Given back only now: what is given back counts as readable again.
      socket.unshift(words);
      go(isHttp2);
    };
    socket.on('readable', look);
    socket.on('error', leave);
    socket.on('end', leave);
    socket.on('timeout', leave);
    socket.setTimeout(this.#options.firstWordsTimeout);
  }

  #accept(session: ServerHttp2Session): void {
    const { broken } = this.#options;
    session.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_HTTP2_ERROR') broken();
    });
    if (session.destroyed) return;
    session.setLocalWindowSize(connectionWindowBytes);
    this.#sessions.set(session, 0);
    session.on('close', () => this.#sessions.delete(session));
    this.#watch(session);
  }

  /** After silence takes no more requests; after as much again leaves a peer that does not read its answers. */
  #watch(session: ServerHttp2Session): void {
    session.setTimeout(this.#options.idleTimeout, () => {
      if (session.closed && this.#sessions.get(session) === 0) return session.destroy();
      session.close();
      if (!session.destroyed) this.#watch(session);
    });
  }

  #count(session: Http2Session | undefined, response: Http2ServerResponse): void {
    const known = session as ServerHttp2Session | undefined;
    const add = (count: number): void => {
      const open = known && this.#sessions.get(known);
      if (known !== undefined && open !== undefined) this.#sessions.set(known, open + count);
    };
    let isOpen = true;
    const answered = (): void => {
      if (isOpen) add(-1);
      isOpen = false;
    };
    add(1);
    response.once('finish', answered);
    response.once('close', answered);
  }

  #limit(request: Http2ServerRequest): void {
    const { requestTimeout, timedOut } = this.#options;
    if (requestTimeout === 0) return;
    const timer = setTimeout(() => {
      timedOut(request);
      const { session } = request.stream;
      request.stream.close(constants.NGHTTP2_CANCEL);
      // One that has said GOAWAY has nothing else to wait for.
      if (session?.closed) session.destroy();
    }, requestTimeout);
    const whole = (): void => clearTimeout(timer);
    request.once('end', whole);
    request.once('close', whole);
  }
}
