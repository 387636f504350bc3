// What the otlp exporter can be told.

import { z } from 'zod';
import { attributesField, bodyField } from '../../access_log/format_fields.ts';
import { bytes, duration, secret, tlsClient } from '../../config/fields.ts';
import { environmentEndpoint, environmentTimeoutMs, parseTarget } from './target.ts';

const headerName = /^[a-zA-Z0-9_.-]+$/;

/** Plain text that a header may carry. */
const headerValue = /^[\x20-\x7e]*$/;

const target = () =>
  z.string().refine((text) => parseTarget(text) !== undefined, {
    message:
      'expected host, host:port, [v6]:port, http://host:port, https://host:port or unix:/path',
  });

export const otlpConfig = z
  .strictObject({
    endpoint: target()
      .optional()
      .describe(
        'The collector: host, host:port, http(s)://host:port or unix:/path. Port 4317 for grpc, 4318 for http, /v1/logs is added. Absent: OTEL_EXPORTER_OTLP_LOGS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT.',
      ),
    logs_endpoint: target()
      .optional()
      .describe('For http: the whole URL, to which no path is added. Used instead of endpoint.'),
    protocol: z
      .enum(['grpc', 'http/protobuf', 'http/json'])
      .optional()
      .describe('Absent: OTEL_EXPORTER_OTLP_PROTOCOL, or grpc.'),
    headers: z
      .record(
        z.string().regex(headerName, 'a header name has letters, digits, - _ and . only'),
        secret().regex(headerValue, 'a header value has printable ASCII only'),
      )
      .default({})
      .describe(
        'Sent with every request, such as authorization. Adds to OTEL_EXPORTER_OTLP_HEADERS.',
      ),
    compression: z
      .enum(['none', 'gzip', 'zstd'])
      .optional()
      .describe(
        'Absent: OTEL_EXPORTER_OTLP_COMPRESSION, or none: gzip costs more than the rest of the pipeline. zstd is cheaper, for http only.',
      ),
    tls: tlsClient()
      .optional()
      .describe(
        'Given (and not insecure), or https:// in the endpoint: TLS. Absent: plain text, as in Kuma and unlike the Collector.',
      ),
    balancer_name: z
      .enum(['round_robin', 'pick_first'])
      .default('round_robin')
      .describe('For grpc, when the name has several addresses.'),
    keepalive: z
      .strictObject({
        time: duration().prefault('60s').describe('A ping after this long without a word.'),
        timeout: duration().prefault('20s').describe('No answer for this long: reconnect.'),
        permit_without_stream: z
          .boolean()
          .default(false)
          .describe('Also while no export is under way. The server must allow it.'),
      })
      .optional()
      .describe('HTTP/2 pings, for grpc. Absent: none; timeouts alone find dead connections.'),
    timeout: duration()
      .prefault(() => {
        const ms = environmentTimeoutMs(process.env);
        return ms === undefined ? '10s' : `${ms}ms`;
      })
      .describe(
        'For one attempt. A longer one counts as failed and is repeated. 0: no limit. Absent: OTEL_EXPORTER_OTLP_LOGS_TIMEOUT or OTEL_EXPORTER_OTLP_TIMEOUT, in milliseconds, or 10s.',
      ),
    max_request_bytes: bytes()
      .prefault('4MB')
      .describe('A request ends before it would be larger. Most servers refuse more than 4 MiB.'),
    body: bodyField(['none', 'line', 'fields'])
      .prefault('none')
      .describe(
        'none: only what is no field. line: the source line. fields: all fields as one kvlist. Or an AnyValue ({stringValue: ...}, {kvlistValue: ...} and so on) with command operators. A line that could not be parsed is always sent as body.',
      ),
    attributes: attributesField(['all', 'none'])
      .prefault('all')
      .describe(
        'all: every field is an attribute. none: no attributes. Or a list of key and value with command operators.',
      ),
  })
  .refine(
    (settings) =>
      (settings.logs_endpoint ?? settings.endpoint) !== undefined ||
      environmentEndpoint(process.env) !== undefined,
    {
      message: 'expected an endpoint, here or in OTEL_EXPORTER_OTLP_ENDPOINT',
      path: ['endpoint'],
    },
  )
  .refine(
    ({ endpoint = '', tls }) => !(endpoint.startsWith('http://') && tls?.insecure === false),
    {
      message: '`http://` is plain text: write https://, or take tls away',
      path: ['endpoint'],
    },
  )
  .refine(
    ({ endpoint = '', tls }) => !(endpoint.startsWith('https://') && tls?.insecure === true),
    {
      message: '`https://` is TLS: write http://, or take insecure away',
      path: ['endpoint'],
    },
  )
  .refine(({ protocol, compression }) => compression !== 'zstd' || protocol?.startsWith('http/'), {
    message: 'zstd needs protocol http/protobuf or http/json',
    path: ['compression'],
  });

export type OtlpSettings = z.output<typeof otlpConfig>;
