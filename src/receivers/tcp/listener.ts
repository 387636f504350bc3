// The listener of the tcp receiver: who may connect, and what is known of a connection.

import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Context, Counter, Deliver, Receiver } from '../../pipeline/component.ts';
import { Handover } from '../../pipeline/handover.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { addressText, connectionFacts, plainTextWarning } from '../../wire/address.ts';
import type { CertificateSource } from '../../wire/certificates.ts';
import { boundAddress, listen, stopListening } from '../../wire/listen.ts';
import { spiffeAllowed, spiffeId } from '../../wire/spiffe.ts';
import { keepFresh, serverCertificates, serverOptions } from '../../wire/tls.ts';
import { Connections } from './connections.ts';
import type { TcpConfig } from './tcp.ts';

const keepAliveInitialDelay = 60_000;
const handshakeTimeout = 10_000;
/** Refused identities that are named in the log, each once. */
const namedMax = 20;
/** The limit of connections is worth a word again once so few are open. */
const calmAgain = 0.9;

export class TcpReceiver implements Receiver {
  readonly #settings: TcpConfig;
  readonly #context: Context;
  readonly #named = new Set<string>();
  #server: Server | undefined;
  #certificates: CertificateSource | undefined;
  #connections: Connections | undefined;
  #handover: Handover | undefined;
  #full = false;

  constructor(settings: TcpConfig, context: Context) {
    this.#settings = settings;
    this.#context = context;
  }

  async start(deliver: Deliver): Promise<void> {
    const { endpoint, tls, socket_mode } = this.#settings;
    const handover = new Handover(deliver, this.#context);
    this.#handover = handover;
    this.#connections = new Connections(this.#settings, this.#context, (batch, budgetBytes) =>
      handover.push(batch, budgetBytes),
    );
    this.#server = tls === undefined ? this.#plainServer() : await this.#tlsServer(tls);
    try {
      await listen(this.#server, endpoint, { socketMode: Number.parseInt(socket_mode, 8) });
    } catch (error) {
      this.#certificates?.close();
      throw error;
    }
    // A failed accept (no file descriptors left) must not end the process.
    this.#server.on('error', (error) => this.#context.log.warn(`cannot accept: ${error.message}`));
    const warning = plainTextWarning(endpoint, tls !== undefined);
    if (warning !== undefined) this.#context.log.warn(warning);
  }

  async stop(): Promise<void> {
    this.#handover?.ending();
    // Connections that the kernel has accepted for us are taken first.
    await nextRound();
    await nextRound();
    if (this.#server !== undefined) stopListening(this.#server);
    await this.#connections?.drain();
    await this.#handover?.finish();
    this.#certificates?.close();
  }

  status(): string {
    const { endpoint, tls } = this.#settings;
    const bound = this.#server === undefined ? endpoint : boundAddress(this.#server, endpoint);
    const count = this.#connections?.size ?? 0;
    const peers = count === 0 ? 'waiting' : `${count} connection${count === 1 ? '' : 's'}`;
    return `${addressText(bound)}${tls === undefined ? '' : ' (tls)'}  ${peers}`;
  }

  #plainServer(): Server {
    const options = { pauseOnConnect: true, keepAlive: true, keepAliveInitialDelay };
    return createServer(options, (socket) => {
      if ((this.#connections?.size ?? 0) >= this.#settings.max_connections) {
        socket.destroy();
        this.#refuse('limit');
      } else this.#accept(socket, 'plain');
    });
  }

  async #tlsServer(tls: NonNullable<TcpConfig['tls']>): Promise<Server> {
    const { baseDirectory, log } = this.#context;
    const certificates = await serverCertificates(tls, { baseDirectory, log });
    this.#certificates = certificates;
    const options = { keepAlive: true, keepAliveInitialDelay, handshakeTimeout };
    const server = createTlsServer({ ...options, ...serverOptions(tls, certificates) });
    keepFresh(server, tls, certificates);
    server.maxConnections = this.#settings.max_connections;
    server.on('drop', () => this.#refuse('limit'));
    server.on('tlsClientError', () => this.#refuse('tls'));
    server.on('secureConnection', (socket) => {
      if (this.#knows(socket)) this.#accept(socket, 'tls');
      else socket.destroy();
    });
    return server;
  }

  /** Whether the peer's identity is allowed. */
  #knows(socket: TLSSocket): boolean {
    const { allowed_spiffe_ids } = this.#settings;
    if (allowed_spiffe_ids.length === 0) return true;
    const id = spiffeId(socket.getPeerCertificate());
    if (spiffeAllowed(id, allowed_spiffe_ids)) return true;
    this.#refuse('identity');
    const name = id ?? 'a peer without SPIFFE identity';
    if (!this.#named.has(name) && this.#named.size < namedMax) {
      this.#named.add(name);
      this.#context.log.warn(`refuses ${name}: not in allowed_spiffe_ids`);
    }
    return false;
  }

  #accept(socket: Socket, kind: 'plain' | 'tls'): void {
    const { max_connections } = this.#settings;
    if ((this.#connections?.size ?? 0) < max_connections * calmAgain) this.#full = false;
    const facts: Attributes = this.#settings.add_attributes ? connectionFacts(socket) : {};
    this.#connections?.add(socket, facts, kind);
  }

  #refuse(reason: 'limit' | 'tls' | 'identity'): void {
    this.#refused(reason).add(1);
    if (reason !== 'limit' || this.#full) return;
    this.#full = true;
    this.#context.log.warn(
      `closes new connections: max_connections (${this.#settings.max_connections}) are open`,
    );
  }

  #refused(reason: string): Counter {
    return this.#context.metrics.counter(
      'meshlog_receiver_connections_refused_total',
      'Connections closed at once: too many, a failed TLS handshake, or an identity not allowed.',
      { receiver: this.#context.id, reason },
    );
  }
}
