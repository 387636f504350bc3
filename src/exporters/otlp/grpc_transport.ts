// OTLP over gRPC. The official transport cannot set channel options: after an outage its back-off grows to two
// minutes, and it copies each request. This one plugs into the same export delegate.

import { type ConnectionOptions, createSecureContext } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import type { ExportResponse } from '@opentelemetry/otlp-exporter-base';
import { aborted, grpcFailure } from '../../encoding/otlp/failure.ts';
import { addressText } from '../../wire/address.ts';
import type { Transport, TransportOptions } from './delivery.ts';
import { TlsFiles } from './tls_files.ts';

const path = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
const same = (bytes: Buffer): Buffer => bytes;
/** A peer that went away without a word is left after this many timeouts in a row. */
const timeoutsMax = 2;
/** One channel to the target, made on first use and made anew when it is dead or its certificates changed. */
export class GrpcTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #metadata = new grpc.Metadata();
  readonly #tls: TlsFiles;
  #client: grpc.Client | undefined;
  #timeouts = 0;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#tls = new TlsFiles(options);
    for (const [key, value] of Object.entries(options.target.headers)) {
      this.#metadata.set(key, key.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
    }
  }

  async prepare(): Promise<void> {
    await this.#tls.load();
  }

  async send(data: Uint8Array): Promise<ExportResponse> {
    if (await this.#tls.refresh()) this.#renew();
    const signal = this.#options.signalOf(data);
    if (signal?.aborted) return { status: 'failure', error: aborted(signal) };
    this.#client ??= this.#connect();
    return this.#call(this.#client, data as Buffer, signal);
  }

  shutdown(): void {
    this.#renew();
  }

  #call(
    client: grpc.Client,
    data: Buffer,
    signal: AbortSignal | undefined,
  ): Promise<ExportResponse> {
    return new Promise((resolve) => {
      const cancel = (): void => call.cancel();
      const call = client.makeUnaryRequest(
        path,
        same,
        same,
        data,
        this.#metadata,
        (error, answer) => {
          signal?.removeEventListener('abort', cancel);
          if (error === null) {
            this.#timeouts = 0;
            resolve({ status: 'success', data: answer ?? Buffer.alloc(0) });
            return;
          }
          const ended = signal?.aborted === true;
          if (ended || error.code === grpc.status.DEADLINE_EXCEEDED) this.#timedOut(client);
          else this.#timeouts = 0;
          const status = error.metadata?.get('grpc-status-details-bin')[0];
          const { code, details } = error;
          resolve({
            status: 'failure',
            error: ended
              ? aborted(signal)
              : grpcFailure({
                  code,
                  details,
                  status: Buffer.isBuffer(status) ? status : undefined,
                }),
          });
        },
      );
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  #timedOut(client: grpc.Client): void {
    if (++this.#timeouts < timeoutsMax || client !== this.#client) return;
    this.#timeouts = 0;
    this.#renew();
  }

  /** The next request makes a new channel; calls under way end on the old one. */
  #renew(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #connect(): grpc.Client {
    const { target, settings, userAgent } = this.#options;
    const { address, tls } = target;
    const to = address.kind === 'unix' ? `unix:${address.path}` : `dns:///${addressText(address)}`;
    const { keepalive, balancer_name } = settings;
    return new grpc.Client(to, credentials(this.#tls.current), {
      'grpc.primary_user_agent': userAgent,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.dns_min_time_between_resolutions_ms': 5000,
      'grpc.max_send_message_length': -1,
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.default_compression_algorithm': target.compression === 'gzip' ? 2 : 0,
      'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ [balancer_name]: {} }] }),
      ...(tls?.server_name_override === undefined
        ? {}
        : { 'grpc.ssl_target_name_override': tls.server_name_override }),
      ...(keepalive === undefined
        ? {}
        : {
            'grpc.keepalive_time_ms': keepalive.time,
            'grpc.keepalive_timeout_ms': keepalive.timeout,
            'grpc.keepalive_permit_without_calls': keepalive.permit_without_stream ? 1 : 0,
          }),
    });
  }
}

function credentials(tls: ConnectionOptions | undefined): grpc.ChannelCredentials {
  if (tls === undefined) return grpc.credentials.createInsecure();
  const { rejectUnauthorized = true, checkServerIdentity } = tls;
  return grpc.ChannelCredentials.createFromSecureContext(createSecureContext(tls), {
    rejectUnauthorized,
    ...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
  });
}
