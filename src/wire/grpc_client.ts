// Unary gRPC calls over HTTP/2 of our own.

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { type Address, addressText } from './address.ts';
import { GrpcConnection, type GrpcConnectionOptions } from './grpc_connection.ts';
import { type GrpcOutcome, grpcPrefixBytes, untouched } from './grpc_unary.ts';
import { secretHeaderBlock } from './http2/frames.ts';

export type GrpcClientOptions = GrpcConnectionOptions & {
  readonly address: Address;
  /** Sent with every call. Values of keys that end in -bin are base64. */
  readonly headers: Readonly<Record<string, string>>;
  readonly userAgent: string;
  /** What the peer is asked for by, where that is another name than the address. */
  readonly authority?: string | undefined;
  readonly compression: 'none' | 'gzip';
  /** Whether a name with several addresses means a connection to each, or one to the first that answers. */
  readonly balancer: 'round_robin' | 'pick_first';
};

const connectionsMax = 64;
const lookupIntervalMs = 5000;
const CANCELLED = 1;
const UNAVAILABLE = 14;
const compress = promisify(gzip);

/** A peer, behind as many connections as its name has addresses. Connects on the first call. */
export class GrpcClient {
  readonly #options: GrpcClientOptions;
  readonly #headers: Readonly<Record<string, string>>;
  /** The last one that was called, and its headers as they are sent. */
  #path = '';
  #block: Buffer = Buffer.alloc(0);
  #connections: GrpcConnection[] = [];
  #lookedUpMs = Number.NEGATIVE_INFINITY;
  #lookup: Promise<void> | undefined;
  #turn = 0;
  #closed = false;

  constructor(options: GrpcClientOptions) {
    this.#options = options;
    const { address, authority, headers, tls, userAgent, compression } = options;
    this.#headers = {
      ':method': 'POST',
      ':scheme': tls === undefined ? 'http' : 'https',
      ':authority': authority ?? (address.kind === 'unix' ? 'localhost' : addressText(address)),
      'user-agent': userAgent,
      ...headers,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-accept-encoding': 'identity',
      ...(compression === 'gzip' ? { 'grpc-encoding': 'gzip' } : {}),
    };
  }

  /**
   * Makes a call. `framed` is the message behind `grpcPrefixBytes` free bytes, which are filled in. Never rejects.
   * After a success nobody looks at its bytes any more; otherwise they must be left alone.
   */
  async call(path: string, framed: Buffer, signal?: AbortSignal): Promise<GrpcOutcome> {
    const body = this.#options.compression === 'gzip' ? await compressed(framed) : plain(framed);
    const request = { block: this.#blockOf(path), body };
    let outcome = untouched;
    // A connection that comes to its end (GOAWAY) refuses what is too late for it: that goes elsewhere, once.
    for (let attempt = 0; attempt < 2 && outcome === untouched; attempt++) {
      try {
        const connection = this.#ready() ?? (await unlessAborted(this.#connected(), signal));
        outcome = await connection.call(request, signal);
      } catch (error) {
        const details = error instanceof Error ? error.message : String(error);
        return { ...untouched, code: signal?.aborted ? CANCELLED : UNAVAILABLE, details };
      }
    }
    return outcome;
  }

  /** Calls under way end first. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections) connection.close();
    this.#connections = [];
  }

  #blockOf(path: string): Buffer {
    if (path === this.#path) return this.#block;
    this.#path = path;
    // Those before all others, and tokens among the others.
    this.#block = secretHeaderBlock({ ':path': path, ...this.#headers });
    return this.#block;
  }

  /** The next connection that takes calls. The others are wanted, too. */
  #ready(): GrpcConnection | undefined {
    const connections = this.#connections;
    let found: GrpcConnection | undefined;
    let isWhole = true;
    for (let i = 0; i < connections.length; i++) {
      const connection = connections[(this.#turn + i) % connections.length] as GrpcConnection;
      if (connection.ready) found ??= connection;
      else {
        isWhole = false;
        connection.wanted().catch(() => undefined);
      }
    }
    this.#turn = (this.#turn + 1) % Math.max(1, connections.length);
    // A peer that moved has another address.
    if (!isWhole && found !== undefined) this.#lookUp().catch(() => undefined);
    return found;
  }

  /** Resolves with the first connection that is made. */
  async #connected(): Promise<GrpcConnection> {
    await this.#lookUp();
    if (this.#closed) throw new Error('the client was closed');
    const attempts = this.#connections.map(async (connection) => {
      await connection.wanted();
      return connection;
    });
    try {
      return await Promise.any(attempts);
    } catch (error) {
      throw (error as AggregateError).errors[0] ?? error;
    }
  }

  /** Looks the name up, unless that was done just now. What it says is in `#connections` afterwards. */
  #lookUp(): Promise<void> {
    if (performance.now() - this.#lookedUpMs < lookupIntervalMs) return Promise.resolve();
    this.#lookup ??= this.#addresses()
      .then((addresses) => {
        this.#lookedUpMs = performance.now();
        this.#connectTo(addresses);
      })
      .finally(() => {
        this.#lookup = undefined;
      });
    return this.#lookup;
  }

  async #addresses(): Promise<Address[]> {
    const { address, balancer } = this.#options;
    if (address.kind === 'unix' || balancer === 'pick_first' || isIP(address.host) !== 0) {
      return [address];
    }
    const { port } = address;
    const found = await lookup(address.host, { all: true });
    // A file of hosts may name one twice.
    const hosts = [...new Set(found.map(({ address: host }) => host))].slice(0, connectionsMax);
    return hosts.map((host) => ({ kind: 'tcp', host, port }) as const);
  }

  #connectTo(addresses: readonly Address[]): void {
    if (this.#closed) return;
    const before = new Map(this.#connections.map((made) => [addressText(made.address), made]));
    this.#connections = addresses.map((address) => {
      const text = addressText(address);
      const known = before.get(text);
      before.delete(text);
      return known ?? new GrpcConnection(address, this.#options);
    });
    for (const gone of before.values()) gone.close();
  }
}

function plain(framed: Buffer): Buffer {
  framed[0] = 0;
  framed.writeUInt32BE(framed.length - grpcPrefixBytes, 1);
  return framed;
}

async function compressed(framed: Buffer): Promise<Buffer> {
  const message = framed.subarray(grpcPrefixBytes);
  const body = await compress(message, { level: constants.Z_BEST_SPEED });
  const prefix = Buffer.alloc(grpcPrefixBytes);
  prefix[0] = 1;
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

/** Settles as `promise` does, or rejects when `signal` aborts. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let giveUp = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(new Error('cancelled'));
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
