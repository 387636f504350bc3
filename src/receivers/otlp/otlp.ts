// Records over OTLP: gRPC, and HTTP with protobuf or JSON.

import { z } from 'zod';
import { bytes, duration, endpoint, secret, tlsServer } from '../../config/fields.ts';
import { type Context, type Deliver, type Receiver, receiver } from '../../pipeline/component.ts';
import { areProven, spiffeIds, unproven } from '../../wire/spiffe.ts';
import { GrpcListener } from './grpc.ts';
import { HttpListener } from './http.ts';
import { Intake } from './intake.ts';

const maxConnections = () =>
  z
    .number()
    .int()
    .min(1)
    .default(10_000)
    .describe('Further connections are closed at once and counted.');

const grpc = z.strictObject({
  endpoint: endpoint(4317)
    .prefault('127.0.0.1:4317')
    .describe('Where to listen: host:port, or unix:/path. `:4317` means every interface.'),
  tls: tlsServer().optional().describe('TLS. Absent: plain text.'),
  max_recv_msg_size_mib: z
    .number()
    .positive()
    .default(4)
    .describe('Largest request, also after decompression, in MiB. A larger one is refused.'),
  max_concurrent_streams: z
    .number()
    .int()
    .min(1)
    .default(128)
    .describe('Requests under way at once on one connection; further ones wait at the sender.'),
  max_connections: maxConnections(),
  keepalive: z
    .strictObject({
      max_connection_idle: duration().prefault('0').describe('0: idle connections stay open.'),
      max_connection_age: duration()
        .prefault('0')
        .describe(
          'After about so long peers are told to reconnect, which spreads them over replicas. 0: never.',
        ),
      max_connection_age_grace: duration()
        .prefault('0')
        .describe('How long requests may then still take. 0: as long as they need.'),
      time: duration().prefault('2h').describe('Silence after which the peer is pinged. 0: never.'),
      timeout: duration().prefault('20s').describe('No answer for so long: the peer is gone.'),
    })
    .prefault({})
    .describe("How connections end. The words are the Collector's."),
});

const http = z.strictObject({
  endpoint: endpoint(4318)
    .prefault('127.0.0.1:4318')
    .describe('Where to listen: host:port, or unix:/path. `:4318` means every interface.'),
  tls: tlsServer().optional().describe('TLS. Absent: plain text.'),
  logs_url_path: z.string().startsWith('/').default('/v1/logs').describe('The path for records.'),
  max_request_body_size: bytes()
    .prefault('20MiB')
    .describe('Largest body, also after decompression. A larger one is refused.'),
  max_connections: maxConnections(),
  idle_timeout: duration().prefault('1m').describe('Silence after which a connection is closed.'),
});

const config = z
  .strictObject({
    grpc: grpc.nullish().describe('OTLP over gRPC. Empty: with the defaults.'),
    http: http
      .nullish()
      .describe(
        'OTLP over HTTP/1.1 and HTTP/2, in plain text too. Empty: with the defaults. With neither grpc nor http: both.',
      ),
    access_logs: z
      .enum(['auto', 'always', 'never'])
      .default('auto')
      .describe(
        "Which records are Envoy's access logs: their text values become typed fields of the vocabulary. auto: those with the labels that Envoy adds.",
      ),
    auth: z
      .strictObject({
        bearer_token: secret()
          .optional()
          .describe('Requests need `authorization: Bearer` and this.'),
        headers: z
          .record(z.string(), secret())
          .default({})
          .describe('Requests need each of these headers with its value.'),
      })
      .optional()
      .describe('Who may send. Absent: everybody who can connect.'),
    allowed_spiffe_ids: spiffeIds(),
    max_wait: duration()
      .prefault('1s')
      .describe(
        'How long a request waits for room in memory. Then the sender is asked to try again later.',
      ),
    request_timeout: duration()
      .prefault('30s')
      .describe(
        'A request must have come in whole after so long. Over gRPC its answer must be read as fast.',
      ),
  })
  .refine(
    ({ allowed_spiffe_ids, grpc, http }) =>
      areProven(
        allowed_spiffe_ids,
        [grpc, http].filter((part) => part != null).map(({ tls }) => tls),
      ),
    unproven,
  );

export type OtlpReceiverConfig = z.output<typeof config>;
export type GrpcConfig = z.output<typeof grpc>;
export type HttpConfig = z.output<typeof http>;

export const otlp = receiver({
  name: 'otlp',
  summary: 'Takes records over OTLP: gRPC, and HTTP with protobuf or JSON.',
  config,
  example: `otlp:
  grpc: { endpoint: 0.0.0.0:4317 }
  http: { endpoint: 0.0.0.0:4318 }`,
  notes: `A request is answered once every exporter has delivered or persisted its records. What the pipeline refuses is answered
with UNAVAILABLE or 503 when another try can help, with INTERNAL or 500 when not.
A text body is the line of its record: \`parse\` reads it. Records that are malformed are rejected as a partial success
and counted under malformed_record; the others of the request are taken. Requests that are refused are in
meshlog_receiver_requests_refused_total: those under no_room are asked to come back later.
What only OTLP has becomes attributes severity.text (where it says more than the number), event.name, trace.flags and
otlp.dropped_attributes_count, and facts of the resource: otel.scope.name, otel.scope.version and otel.scope.attributes. The
otlp exporter makes it what it was. Observed times stay those of who observed first.
The gRPC port also has the health service (Check and Watch), without credentials. The HTTP port speaks HTTP/1.1 and
HTTP/2, with TLS by agreement, in plain text by what the client begins with.
Envoy's OpenTelemetry access logger tries a refused request again as often as its retry policy says, and drops what it
cannot buffer, in its stats access_logs.open_telemetry_access_log.logs_dropped beside logs_written. Where that grows:

    name: envoy.access_loggers.open_telemetry
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig
      common_config:
        log_name: otel
        transport_api_version: V3
        buffer_size_bytes: 1048576                      # by default 16384; stay below max_recv_msg_size_mib
        buffer_flush_interval: 1s                       # the default
        grpc_stream_retry_policy: { num_retries: 5 }    # by default a failed request is not sent again
        grpc_service: { envoy_grpc: { cluster_name: meshlog }, timeout: 10s }`,
  create: (settings, context) => new OtlpReceiver(settings, context),
});

class OtlpReceiver implements Receiver {
  readonly #settings: OtlpReceiverConfig;
  readonly #context: Context;
  #listeners: (GrpcListener | HttpListener)[] = [];

  constructor(settings: OtlpReceiverConfig, context: Context) {
    this.#settings = settings;
    this.#context = context;
  }

  async start(deliver: Deliver): Promise<void> {
    const settings = this.#settings;
    const intake = new Intake(deliver, settings, this.#context);
    const both = settings.grpc === undefined && settings.http === undefined;
    const parts = { settings, context: this.#context, intake };
    const listeners: (GrpcListener | HttpListener)[] = [];
    if (settings.grpc !== undefined || both) {
      listeners.push(new GrpcListener(settings.grpc ?? grpc.parse({}), parts));
    }
    if (settings.http !== undefined || both) {
      listeners.push(new HttpListener(settings.http ?? http.parse({}), parts));
    }
    const problems: unknown[] = [];
    for (const listener of listeners) {
      await listener.start().then(
        () => this.#listeners.push(listener),
        (error) => problems.push(error),
      );
    }
    if (problems.length === 0) return;
    await this.stop();
    if (problems.length === 1) throw problems[0];
    throw new Error(problems.map((problem) => (problem as Error).message).join('; '));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.stop()));
    this.#listeners = [];
  }

  status(): string {
    return this.#listeners.map((listener) => listener.status()).join(', ');
  }
}
