// OTLP over gRPC.

import { aborted, grpcFailure } from '../../encoding/otlp/failure.ts';
import { GrpcClient } from '../../wire/grpc_client.ts';
import { grpcPrefixBytes } from '../../wire/grpc_unary.ts';
import { peerText } from './peer_text.ts';
import { TlsFiles } from './tls_files.ts';
import type { Transport, TransportOptions } from './transport.ts';

const path = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
const DEADLINE_EXCEEDED = 4;
/** A peer that went away without a word is left after this many timeouts in a row. */
const timeoutsMax = 2;

/** One client of the target, made on first use and made anew when it is dead or its certificates changed. */
export class GrpcTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #tls: TlsFiles;
  #client: GrpcClient | undefined;
  #timeouts = 0;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#tls = new TlsFiles(options);
  }

  async prepare(): Promise<void> {
    await this.#tls.load();
  }

  async send(request: Buffer, signal: AbortSignal): Promise<Buffer> {
    if (this.#tls.isDue && (await this.#tls.refresh())) this.#renew();
    if (signal.aborted) throw aborted(signal);
    this.#client ??= this.#connect();
    const client = this.#client;
    const outcome = await client.call(path, framed(request), signal);
    const ended = signal.aborted && outcome.code !== 0;
    if (ended || outcome.code === DEADLINE_EXCEEDED) this.#timedOut(client);
    else this.#timeouts = 0;
    if (outcome.code === 0) return outcome.message;
    if (ended) throw aborted(signal);
    throw grpcFailure({ ...outcome, details: peerText(outcome.details) });
  }

  close(): void {
    this.#renew();
  }

  #timedOut(client: GrpcClient): void {
    if (++this.#timeouts < timeoutsMax || client !== this.#client) return;
    this.#timeouts = 0;
    this.#renew();
  }

  /** The next request makes a new client; calls under way end on the old one. */
  #renew(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #connect(): GrpcClient {
    const { target, settings, userAgent } = this.#options;
    return new GrpcClient({
      address: target.address,
      tls: this.#tls.current,
      authority: target.tls?.server_name_override,
      headers: target.headers,
      userAgent,
      compression: target.compression === 'gzip' ? 'gzip' : 'none',
      balancer: settings.balancer_name,
      keepalive: settings.keepalive,
    });
  }
}

/** The encoder leaves this much room in front of a request. */
function framed({ buffer, byteOffset, length }: Buffer): Buffer {
  return Buffer.from(buffer, byteOffset - grpcPrefixBytes, length + grpcPrefixBytes);
}
