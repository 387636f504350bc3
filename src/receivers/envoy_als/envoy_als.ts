// Entries that Envoy's proxies stream over gRPC: the access log service.

import { z } from 'zod';
import { bytes, duration, endpoint, tlsServer } from '../../config/fields.ts';
import { type Context, type Deliver, type Receiver, receiver } from '../../pipeline/component.ts';
import { refusals, requestRefusals } from '../../pipeline/refusals.ts';
import { addressText, plainTextWarning } from '../../wire/address.ts';
import type { CertificateSource } from '../../wire/certificates.ts';
import { Health } from '../../wire/grpc_health.ts';
import { GrpcServer } from '../../wire/grpc_server.ts';
import { areProven, spiffeIds, unproven } from '../../wire/spiffe.ts';
import { serverCertificates } from '../../wire/tls.ts';
import { Gathering } from './gathering.ts';
import { Streams } from './streams.ts';

const config = z
  .strictObject({
    endpoint: endpoint(9977)
      .prefault('127.0.0.1:9977')
      .describe('Where to listen: host:port, or unix:/path. `:9977` means every interface.'),
    tls: tlsServer().optional().describe('TLS. Absent: plain text.'),
    allowed_spiffe_ids: spiffeIds(),
    message_bytes_max: bytes()
      .refine((size) => size >= 1024, 'message_bytes_max must be at least 1024')
      .prefault('4MiB')
      .describe('A longer message is passed over and counted; its stream lives on.'),
    max_connections: z
      .number()
      .int()
      .min(1)
      .default(10_000)
      .describe('Further connections are closed at once and counted.'),
    max_concurrent_streams: z
      .number()
      .int()
      .min(1)
      .default(10_000)
      .describe(
        'Streams on one connection; a proxy opens a few per worker thread. An idle one costs about 2 KiB, one that waits for room a few more, and all of them together 16 MiB.',
      ),
    linger: duration()
      .refine((ms) => ms > 0, 'linger must be positive')
      .prefault('100ms')
      .describe('The longest that entries wait for others to make a batch.'),
    keepalive: z
      .strictObject({
        max_connection_idle: duration().prefault('0').describe('0: idle connections stay open.'),
        max_connection_age: duration()
          .prefault('0')
          .describe(
            'After about so long streams are ended with OK and proxies connect anew, which spreads them over replicas. 0: never.',
          ),
        max_connection_age_grace: duration()
          .prefault('10s')
          .describe('How long a proxy may take to notice before its connection is closed.'),
        time: duration()
          .prefault('1m')
          .describe('Silence after which the peer is pinged. 0: never.'),
        timeout: duration().prefault('20s').describe('No answer for so long: the peer is gone.'),
      })
      .prefault({})
      .describe('How connections end.'),
    log_name: z
      .enum(['plain', 'kuma'])
      .default('plain')
      .describe(
        "kuma: log names of Kuma up to 1.6 are `address;format`; the format writes each record's body, the address becomes the fact kuma.log_address.",
      ),
  })
  .refine(({ allowed_spiffe_ids, tls }) => areProven(allowed_spiffe_ids, [tls]), unproven);

export type EnvoyAlsConfig = z.output<typeof config>;

export const envoy_als = receiver({
  name: 'envoy_als',
  summary: "Takes access log entries from Envoy's gRPC access log service, v3 and v2.",
  config,
  example: 'envoy_als: { endpoint: 0.0.0.0:9977 }',
  notes: `Who speaks is said once per stream and becomes facts of its records: envoy.node.id, envoy.node.cluster,
envoy.node.locality.*, envoy.node.metadata, envoy.log_name, net.peer.ip. Of a proxy that says more than 1 MiB, and of new
ones while those with a stream take 64 MiB, only short texts are kept. Entries that are written while a stream goes on
have access_log.intermediate: they are no further request.
The protocol has no acknowledgement. While the pipeline cannot take more, streams are not read, and
meshlog_receiver_held_back_seconds_total grows. What a proxy cannot send meanwhile it drops once its buffer is full; only
its own stats show that: access_logs.grpc_access_log.logs_dropped, beside logs_written. Where it grows, raise what the
proxies may buffer. Each worker thread has such a buffer per logger, and what is in it is one message in the end, which
must stay below message_bytes_max:

    name: envoy.access_loggers.http_grpc
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
      common_config:
        log_name: http
        transport_api_version: V3
        buffer_size_bytes: 1048576                      # by default 16384
        buffer_flush_interval: 1s                       # the default: what a crash of the proxy can lose
        grpc_stream_retry_policy: { num_retries: 3 }    # a stream that cannot be opened is tried again
        grpc_service: { envoy_grpc: { cluster_name: meshlog } }

Counts as dropped: message_too_large and malformed_message (a message each, whatever it held). A malformed entry is kept
with log.parse_error and its bytes as body. Calls that are refused are in meshlog_receiver_requests_refused_total; a stream
whose message has begun and is not there a minute after there was room for it is ended as one of them, under timeout.
The gRPC health service answers Check and Watch on the same port, for the server and for the access log service.`,
  create: (settings, context) => new EnvoyAls(settings, context),
});

const paths = ['v3', 'v2'].map(
  (version) => `/envoy.service.accesslog.${version}.AccessLogService/StreamAccessLogs`,
);

/** A message for which there was room has to come whole in this time: nobody else can have that room. */
const messageTimeoutMs = 60_000;
/** Streams may take so long to end once the receiver stops. */
const stopGraceMs = 5000;

class EnvoyAls implements Receiver {
  readonly #settings: EnvoyAlsConfig;
  readonly #context: Context;
  #server: GrpcServer | undefined;
  #certificates: CertificateSource | undefined;
  #gathering: Gathering | undefined;
  #streams: Streams | undefined;
  readonly #health = new Health(paths);

  constructor(settings: EnvoyAlsConfig, context: Context) {
    this.#settings = settings;
    this.#context = context;
  }

  async start(deliver: Deliver): Promise<void> {
    const { settings, context } = { settings: this.#settings, context: this.#context };
    const { tls, endpoint: address } = settings;
    const gathering = new Gathering(deliver, settings, context);
    const streams = new Streams(gathering, context);
    if (tls !== undefined) {
      const { baseDirectory, log } = context;
      this.#certificates = await serverCertificates(tls, { baseDirectory, log });
    }
    const server = this.#serverFor(streams);
    try {
      await server.listen();
    } catch (error) {
      this.#certificates?.close();
      throw error;
    }
    streams.watch();
    this.#server = server;
    this.#streams = streams;
    this.#gathering = gathering;
    const warning = plainTextWarning(address, tls !== undefined);
    if (warning !== undefined) context.log.warn(warning);
  }

  #serverFor(streams: Streams): GrpcServer {
    const { tls, endpoint: address, keepalive, ...settings } = this.#settings;
    const certificates = this.#certificates;
    const method = streams.method();
    return new GrpcServer({
      address,
      ...(tls === undefined || certificates === undefined
        ? {}
        : { tls: { settings: tls, certificates } }),
      allowedSpiffeIds: settings.allowed_spiffe_ids,
      maxConnections: settings.max_connections,
      maxConcurrentStreams: settings.max_concurrent_streams,
      messageBytesMax: settings.message_bytes_max,
      keepalive: {
        time: keepalive.time,
        timeout: keepalive.timeout,
        maxConnectionAge: keepalive.max_connection_age,
        maxConnectionAgeGrace: keepalive.max_connection_age_grace,
        maxConnectionIdle: keepalive.max_connection_idle,
      },
      requestTimeout: messageTimeoutMs,
      methods: new Map([...paths.map((path) => [path, method] as const), ...this.#health.methods]),
      refused: refusals(this.#context),
      refusedCall: requestRefusals(this.#context),
    });
  }

  /** Streams are ended with OK, so that proxies connect elsewhere; what they had sent by then is taken. */
  async stop(): Promise<void> {
    this.#health.leave();
    this.#streams?.conclude();
    await this.#server?.stop(stopGraceMs);
    this.#streams?.close();
    await this.#gathering?.finish();
    this.#certificates?.close();
  }

  status(): string {
    const address = addressText(this.#server?.address ?? this.#settings.endpoint);
    const count = this.#streams?.count ?? 0;
    const who = count === 0 ? 'waiting' : `${count} stream${count === 1 ? '' : 's'}`;
    return `${address}${this.#settings.tls === undefined ? '' : ' (tls)'}  ${who}`;
  }
}
