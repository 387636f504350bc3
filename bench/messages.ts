// What Envoys would send for the entries of the demo mesh: access log service and OTLP, in messages of about 16 KiB, as
// their buffer_size_bytes default makes them.

import { messageBytes } from '../src/encoding/als/from_json.ts';
import { httpEntry, streamMessage } from '../src/encoding/als/schema.ts';
import { putKeyValue } from '../src/encoding/otlp/any_value.ts';
import { ProtobufWriter } from '../src/encoding/otlp/writer.ts';
import { jsonLine } from '../src/receivers/demo/lines.ts';
import type { Entry } from '../src/receivers/demo/mesh.ts';

/** Envoy sends what it has gathered once its entries have this many bytes. */
const bufferBytes = 16_384;

export type Form = 'als' | 'otlp_envoy' | 'otlp' | 'otlp_lines' | 'otlp_maps';

/** The messages of all entries, in order. The first has what only a stream's first message says. */
export function messagesOf(form: Form, entries: readonly Entry[]): Buffer[] {
  const encode = form === 'als' ? alsEntry : (entry: Entry) => logRecord(form, entry);
  const messages: Buffer[] = [];
  let gathered: Buffer[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const encoded = encode(entry);
    gathered.push(encoded);
    bytes += encoded.length;
    if (bytes < bufferBytes && entry !== entries.at(-1)) continue;
    messages.push(
      form === 'als' ? alsMessage(gathered, messages.length === 0) : exportRequest(form, gathered),
    );
    gathered = [];
    bytes = 0;
  }
  return messages;
}

const node = {
  id: 'sidecar~10.244.1.11~productpage-v1-6d8f4b7c9d-x7k2p.bookinfo~bookinfo.svc.cluster.local',
  cluster: 'productpage.bookinfo',
  locality: { region: 'eu-central-1', zone: 'eu-central-1a' },
};

function alsMessage(entries: readonly Buffer[], isFirst: boolean): Buffer {
  const identifier = { identifier: { node, log_name: 'http_envoy_accesslog' } };
  return Buffer.concat([
    isFirst ? messageBytes(identifier, streamMessage) : Buffer.alloc(0),
    delimited(2, Buffer.concat(entries.map((entry) => delimited(1, entry)))),
  ]);
}

/** An entry with the fields that Envoy fills in for a request through a sidecar. */
function alsEntry(entry: Entry): Buffer {
  const { durationMs, serviceTimeMs = 0 } = entry;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(6)}s`;
  return messageBytes(
    {
      common_properties: {
        downstream_remote_address: address(entry.downstreamRemote),
        downstream_local_address: address(entry.downstreamLocal),
        tls_properties:
          entry.sni === undefined
            ? undefined
            : { tls_version: 'TLSv1_3', tls_cipher_suite: 0x1301, tls_sni_hostname: entry.sni },
        start_time: new Date(entry.startMs).toISOString(),
        time_to_last_rx_byte: seconds(0.041),
        time_to_first_upstream_tx_byte: seconds(0.9),
        time_to_last_upstream_tx_byte: seconds(0.95),
        time_to_first_upstream_rx_byte: seconds(serviceTimeMs + 0.4),
        time_to_last_upstream_rx_byte: seconds(serviceTimeMs + 0.6),
        time_to_first_downstream_tx_byte: seconds(durationMs + 0.1),
        time_to_last_downstream_tx_byte: seconds(durationMs + 0.2),
        upstream_remote_address: address(entry.upstreamHost),
        upstream_local_address: address(entry.upstreamLocal),
        upstream_cluster: entry.cluster ?? '',
        response_flags: flags(entry.flags),
        upstream_transport_failure_reason: entry.failure,
        route_name: entry.route,
        downstream_direct_remote_address: address(entry.downstreamRemote),
        duration: seconds(durationMs + 0.2),
        upstream_request_attempt_count: entry.upstreamHost === undefined ? 0 : 1,
        stream_id: entry.requestId,
        downstream_wire_bytes_sent: entry.bytesSent + 312,
        downstream_wire_bytes_received: entry.bytesReceived + 645,
        upstream_wire_bytes_sent: entry.bytesReceived + 702,
        upstream_wire_bytes_received: entry.bytesSent + 298,
        access_log_type: 'DownstreamEnd',
      },
      protocol_version: 'HTTP11',
      request: {
        request_method: entry.method,
        scheme: 'http',
        authority: entry.authority,
        path: entry.path,
        user_agent: entry.userAgent,
        forwarded_for: entry.forwardedFor,
        request_id: entry.requestId,
        request_headers_bytes: 645,
        request_body_bytes: entry.bytesReceived,
      },
      response: {
        response_code: entry.code,
        response_headers_bytes: 298,
        response_body_bytes: entry.bytesSent,
        response_code_details: entry.details,
      },
    },
    httpEntry,
  );
}

function address(text: string | undefined): object | undefined {
  const colon = text?.lastIndexOf(':') ?? -1;
  if (text === undefined || colon < 0) return undefined;
  return {
    socket_address: { address: text.slice(0, colon), port_value: Number(text.slice(colon + 1)) },
  };
}

const flagFields: Readonly<Record<string, string>> = {
  UF: 'upstream_connection_failure',
  URX: 'upstream_retry_limit_exceeded',
  UH: 'no_healthy_upstream',
  UT: 'upstream_request_timeout',
  DC: 'downstream_connection_termination',
  NR: 'no_route_found',
};

function flags(text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  return Object.fromEntries(text.split(',').map((flag) => [flagFields[flag] ?? '', true]));
}

/**
 * A LogRecord: every key of the JSON line as an attribute or as part of a map that is the body, or the line itself as the
 * body. Envoy says no observed time, every SDK of OpenTelemetry and meshlog do.
 */
function logRecord(form: Form, entry: Entry): Buffer {
  const line = jsonLine(entry);
  const time = fixed64(1, entry.startMs);
  if (form === 'otlp_lines') {
    return Buffer.concat([time, delimited(5, delimited(1, Buffer.from(line)))]);
  }
  const values = Object.entries(JSON.parse(line) as Record<string, string | number | null>);
  // Envoy's logger prints every value, `-` for what is absent; others leave out what they do not have.
  const attributes =
    form === 'otlp_envoy'
      ? values.map(([key, value]) => [key, value === null ? '-' : String(value)] as const)
      : values.filter(([, value]) => value !== null);
  const observed = form === 'otlp_envoy' ? [] : [fixed64(11, entry.startMs + entry.durationMs)];
  const content =
    form === 'otlp_maps'
      ? delimited(5, delimited(6, keyValues(1, attributes)))
      : keyValues(6, attributes);
  return Buffer.concat([time, content, ...observed]);
}

function fixed64(field: number, ms: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = field * 8 + 1;
  bytes.writeBigUInt64LE(BigInt(Math.round(ms * 1000)) * 1000n, 1);
  return bytes;
}

function exportRequest(form: Form, records: readonly Buffer[]): Buffer {
  const labels: readonly (readonly [string, string])[] =
    form === 'otlp_envoy'
      ? [
          ['log_name', 'otel_envoy_accesslog'],
          ['zone_name', node.locality.zone],
          ['cluster_name', node.cluster],
          ['node_name', node.id],
        ]
      : [['service.name', 'productpage']];
  const scope = Buffer.concat(records.map((record) => delimited(2, record)));
  return delimited(1, Buffer.concat([delimited(1, keyValues(1, labels)), delimited(2, scope)]));
}

function keyValues(
  field: number,
  pairs: readonly (readonly [string, string | number | null])[],
): Buffer {
  const out = new ProtobufWriter(4096);
  for (const [key, value] of pairs) {
    out.byte(field * 8 + 2);
    putKeyValue(out, key, value);
  }
  const bytes = Buffer.from(out.bytes());
  out.release();
  return bytes;
}

function delimited(field: number, bytes: Buffer): Buffer {
  const head: number[] = [field * 8 + 2];
  let rest = bytes.length;
  for (; rest > 127; rest >>>= 7) head.push((rest & 127) | 128);
  head.push(rest);
  return Buffer.concat([Buffer.from(head), bytes]);
}
