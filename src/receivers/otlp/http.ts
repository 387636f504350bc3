// OTLP over HTTP.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { putPartialSuccess, putStatus } from '../../encoding/otlp/response.ts';
import { refusals, requestRefusals } from '../../pipeline/refusals.ts';
import { addressText } from '../../wire/address.ts';
import { Decompression } from '../../wire/decompression.ts';
import { grpcCode } from '../../wire/grpc_call.ts';
import { alpnProtocols, Http2Beside } from '../../wire/http2_beside.ts';
import { boundAddress, listen, stopListening } from '../../wire/listen.ts';
import { spiffeAllowed, spiffeId } from '../../wire/spiffe.ts';
import { keepFresh, serverOptions } from '../../wire/tls.ts';
import { type Authorize, authorizer } from './auth.ts';
import { readBody } from './body.ts';
import { failed, httpStatusOf, type Outcome } from './intake.ts';
import {
  type ListenerParts,
  type LoadedTls,
  loadTls,
  stopGraceMs,
  warnOfPlainText,
} from './listener.ts';
import type { HttpConfig } from './otlp.ts';
import { Room } from './room.ts';

type Encoding = 'protobuf' | 'json';

const contentTypes = { protobuf: 'application/x-protobuf', json: 'application/json' } as const;

const headersMsMax = 10_000;

/** What a connection is told that ends before there is a request. */
const clientErrors = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', '413 Payload Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
]);

export class HttpListener {
  readonly #config: HttpConfig;
  readonly #parts: ListenerParts;
  readonly #isAllowed: Authorize;
  readonly #refused: (reason: string) => void;
  #server: Server | undefined;
  #http2: Http2Beside | undefined;
  #tls: LoadedTls | undefined;
  /** Connections of HTTP/1.1, and requests of HTTP/2, that were not whole in time. */
  readonly #late = new WeakSet<object>();
  readonly #decompression = new Decompression();
  #underWay = 0;
  /** How many requests of a connection wait for their answer. */
  readonly #asking = new Map<Socket, number>();
  #idle: (() => void) | undefined;

  constructor(config: HttpConfig, parts: ListenerParts) {
    this.#config = config;
    this.#parts = parts;
    this.#isAllowed = authorizer(parts.settings.auth);
    this.#refused = requestRefusals(parts.context);
  }

  async start(): Promise<void> {
    const { context } = this.#parts;
    const { endpoint, tls } = this.#config;
    this.#tls = await loadTls(tls, context);
    this.#server = this.#open(this.#tls);
    try {
      await listen(this.#server, endpoint);
    } catch (error) {
      this.#tls?.certificates.close();
      throw error;
    }
    this.#server.on('error', (error) => context.log.warn(`cannot accept: ${error.message}`));
    warnOfPlainText(endpoint, tls !== undefined, context);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    stopListening(server);
    server.closeIdleConnections();
    this.#http2?.close();
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, stopGraceMs);
        this.#idle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    server.closeAllConnections();
    this.#http2?.destroy();
    this.#tls?.certificates.close();
  }

  status(): string {
    const { endpoint } = this.#config;
    const bound = this.#server === undefined ? endpoint : boundAddress(this.#server, endpoint);
    return `http ${addressText(bound)}${this.#tls === undefined ? '' : ' (tls)'}`;
  }

  #open(tls: LoadedTls | undefined): Server {
    const refused = refusals(this.#parts.context);
    const { request_timeout } = this.#parts.settings;
    const patienceMs = request_timeout === 0 ? headersMsMax : request_timeout;
    const options = {
      maxHeaderSize: 16 * 1024,
      headersTimeout: Math.min(headersMsMax, patienceMs),
      requestTimeout: request_timeout,
      keepAliveTimeout: this.#config.idle_timeout,
      connectionsCheckingInterval: Math.min(5000, Math.ceil(patienceMs / 4)),
      noDelay: true,
    };
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#answer(request, response);
    };
    const server =
      tls === undefined
        ? createServer(options, onRequest)
        : createTlsServer(
            {
              ...options,
              ...serverOptions(tls.settings, tls.certificates),
              ALPNProtocols: alpnProtocols,
              handshakeTimeout: headersMsMax,
            },
            onRequest,
          );
    if (tls !== undefined) {
      keepFresh(server as never, tls.settings, tls.certificates);
      server.on('tlsClientError', () => refused('tls'));
      server.on('secureConnection', (socket: TLSSocket) => {
        const allowed = this.#parts.settings.allowed_spiffe_ids;
        if (allowed.length === 0) return;
        const id = spiffeId(socket.getPeerCertificate());
        if (spiffeAllowed(id, allowed)) return;
        refused('identity', id ?? 'a peer without SPIFFE identity');
        socket.destroy();
      });
    }
    this.#http2 = new Http2Beside(onRequest, {
      requestTimeout: request_timeout,
      idleTimeout: this.#config.idle_timeout,
      firstWordsTimeout: options.headersTimeout,
      broken: () => refused('protocol'),
      timedOut: (request) => {
        this.#late.add(request);
        this.#refused('timeout');
      },
    });
    this.#http2.attach(server, tls === undefined ? 'plain' : 'tls');
    server.maxConnections = this.#config.max_connections;
    server.on('drop', () => refused('limit'));
    server.on('clientError', ({ code = '' }: NodeJS.ErrnoException, socket) => {
      if (code.startsWith('HPE_')) refused('protocol');
      if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
        this.#late.add(socket);
        this.#refused('timeout');
      }
      const status = clientErrors.get(code) ?? '400 Bad Request';
      if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
      else socket.destroy();
    });
    // Silence of a peer that waits for us is none of its own; of one that does not read, it is.
    server.setTimeout(this.#config.idle_timeout, (socket) => {
      if (!this.#asking.has(socket) || socket.writableLength > 0) socket.destroy();
    });
    return server;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    this.#underWay++;
    this.#asking.set(socket, (this.#asking.get(socket) ?? 0) + 1);
    // A peer that is gone needs no answer.
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    try {
      await this.#request(request, response);
    } catch (error) {
      this.#refused('defect');
      plainAnswer(response, 500, error instanceof Error ? error.message : String(error));
    }
    // What was not read is thrown away, so that the peer comes to read the answer.
    request.resume();
    const others = (this.#asking.get(socket) ?? 1) - 1;
    if (others > 0) this.#asking.set(socket, others);
    else this.#asking.delete(socket);
    if (--this.#underWay === 0) this.#idle?.();
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0];
    if (path !== this.#config.logs_url_path) {
      this.#refused('unknown_path');
      return plainAnswer(response, 404, '404 page not found');
    }
    if (request.method !== 'POST') {
      this.#refused('unsupported_method');
      response.setHeader('allow', 'POST');
      return plainAnswer(response, 405, '405 method not allowed, supported: [POST]');
    }
    const encoding = encodingOf(request.headers['content-type']);
    if (encoding === undefined) {
      this.#refused('unsupported_content_type');
      const supported = '[application/json, application/x-protobuf]';
      return plainAnswer(response, 415, `415 unsupported media type, supported: ${supported}`);
    }
    if (!this.#isAllowed(request.headers)) {
      response.setHeader('www-authenticate', 'Bearer');
      return this.#settle(response, encoding, unauthenticated);
    }
    const { intake } = this.#parts;
    const room = new Room(intake.rooms);
    try {
      const body = await readBody(request, {
        bytesMax: this.#config.max_request_body_size,
        decompression: this.#decompression,
        reserve: (bytes) => room.reserve(bytes),
      });
      // One that took too long is counted already.
      if (this.#late.has(request) || this.#late.has(request.socket)) return;
      if ('kind' in body) return this.#settle(response, encoding, body);
      const outcome = await new Promise<Outcome>((answer) => {
        if (encoding === 'json') intake.takeJson(body.bytes, answer);
        else intake.take({ message: body.bytes, own: undefined, from: { answer } });
      });
      this.#settle(response, encoding, outcome);
    } finally {
      room.close();
    }
  }

  #settle(response: ServerResponse, encoding: Encoding, outcome: Outcome): void {
    if (outcome.kind === 'failed') this.#refused(outcome.reason);
    answer(response, encoding, outcome);
  }
}

const unauthenticated = failed(
  grpcCode.UNAUTHENTICATED,
  'the credentials are missing or wrong',
  'credentials',
);

function encodingOf(contentType: string | undefined): Encoding | undefined {
  const type = (contentType ?? '').split(';')[0]?.trim().toLowerCase();
  if (type === contentTypes.protobuf) return 'protobuf';
  return type === contentTypes.json ? 'json' : undefined;
}

/** An answer in the encoding of the request. */
function answer(response: ServerResponse, encoding: Encoding, outcome: Outcome): void {
  const isJson = encoding === 'json';
  response.setHeader('content-type', contentTypes[encoding]);
  if (outcome.kind === 'taken') {
    const { partial } = outcome;
    if (!isJson) return end(response, 200, putPartialSuccess(partial));
    const { rejected, message } = partial ?? { rejected: 0, message: '' };
    const answered =
      partial === undefined
        ? {}
        : { partialSuccess: { rejectedLogRecords: String(rejected), errorMessage: message } };
    return end(response, 200, Buffer.from(JSON.stringify(answered)));
  }
  const { code, message, retryAfterMs } = outcome;
  if (retryAfterMs !== undefined) {
    response.setHeader('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
  }
  const body = isJson
    ? Buffer.from(JSON.stringify({ code, message }))
    : putStatus({ code, message, retryAfterMs });
  end(response, httpStatusOf(code), body);
}

function plainAnswer(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return;
  response.setHeader('content-type', 'text/plain');
  end(response, status, Buffer.from(text));
}

function end(response: ServerResponse, status: number, body: Buffer): void {
  if (response.destroyed) return;
  response.statusCode = status;
  response.setHeader('content-length', body.length);
  response.end(body);
}
