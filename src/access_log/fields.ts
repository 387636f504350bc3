// The vocabulary (design.md section 5): every field that meshlog knows, in one table. Parsers map keys and operators to
// these names, renderers and filters read them, exporters send them. Adding a field is adding a row. Operators and
// their arguments are in operators.ts; a field's rows there refer to the name here.

/**
 * How a value is kept and shown. `duration` is whole or fractional milliseconds: digits of a line as NUMBER, offsets
 * that ALS gives in nanoseconds as DOUBLE of nanoseconds / 10^6, from which `nanosOf` below gets every nanosecond back
 * for durations up to 26 days. `bytes` and `int` are integers; `flags` is a list of Envoy's short flag names; `time` is RFC 3339 text with the digits it came with; `address` is Envoy's
 * text (`ip:port`, `[v6]:port`, a path, `envoy://listener/endpoint`); `json` is a nested value.
 */
export type FieldType =
  | 'string'
  | 'int'
  | 'double'
  | 'bytes'
  | 'duration'
  | 'bool'
  | 'flags'
  | 'time'
  | 'address'
  | 'list'
  | 'json';

export type Field = {
  readonly name: string;
  readonly type: FieldType;
  /** What it says, one sentence. */
  readonly meaning: string;
  /** Keys under which JSON access logs carry it (Istio's, Kuma's, Hango's defaults). */
  readonly keys?: readonly string[];
  /** Name in OpenTelemetry's semantic conventions, where there is one with the same meaning. */
  readonly semconv?: string;
  /** Where the ALS entry carries it (envoy.md section 1.2: c. common_properties, q. request, r. response, t. TLS). */
  readonly als?: string;
};

type Row = readonly [
  name: string,
  type: FieldType,
  keys: string,
  als: string,
  semconv: string,
  meaning: string,
];

// biome-ignore format: a table reads best with one row a line.
const rows: readonly Row[] = [
  ['request.time', 'time', 'start_time time', 'c.start_time', '', 'When the request or connection began.'],
  ['request.method', 'string', 'method', 'q.request_method', 'http.request.method', 'HTTP method.'],
  ['request.path', 'string', 'path uri', 'q.path', 'url.path', 'Path with query, as the client sent it where the proxy kept it.'],
  ['request.host', 'string', 'authority requestAuthority', 'q.authority', 'server.address', 'Authority (Host header).'],
  ['request.port', 'int', '', 'q.port', '', 'Port that the request was sent to; Envoy does not say it.'],
  ['request.scheme', 'string', 'scheme', 'q.scheme', 'url.scheme', 'http or https.'],
  ['request.protocol', 'string', 'protocol', 'protocol_version', 'network.protocol.version', 'HTTP/1.0, HTTP/1.1, HTTP/2 or HTTP/3; absent for TCP.'],
  ['request.useragent', 'string', 'user_agent userAgent', 'q.user_agent', 'user_agent.original', 'User-Agent header.'],
  ['request.referer', 'string', 'referer', 'q.referer', 'http.request.header.referer', 'Referer header.'],
  ['request.id', 'string', 'request_id requestId', 'q.request_id', '', 'x-request-id: the same on every hop of one request.'],
  ['request.size', 'bytes', 'bytes_received', 'q.request_body_bytes', 'http.request.body.size', 'Bytes of the request body, or received on a TCP connection.'],
  ['request.headers_size', 'bytes', 'request_headers_bytes', 'q.request_headers_bytes', '', 'Bytes of the request headers, uncompressed.'],
  ['request.query', 'string', '', '', 'url.query', 'Query of the path, without the question mark.'],
  ['request.duration', 'duration', 'duration duration_ms', 'c.duration', '', 'From the first byte in to the last byte out, or the life of a TCP connection.'],
  ['request.rx_duration', 'duration', 'request_duration', 'c.time_to_last_rx_byte', '', 'From the start to the last request byte in.'],
  ['request.tx_duration', 'duration', 'request_tx_duration', 'c.time_to_last_upstream_tx_byte', '', 'From the start to the last request byte sent upstream.'],
  ['request.first_tx_duration', 'duration', '', 'c.time_to_first_upstream_tx_byte', '', 'From the start to the first request byte sent upstream.'],
  ['response.code', 'int', 'response_code respCode', 'r.response_code', 'http.response.status_code', 'HTTP status; 0 or absent when there was none.'],
  ['response.code_details', 'string', 'response_code_details', 'r.response_code_details', '', 'Who set the status and why.'],
  ['response.flags', 'flags', 'response_flags responseFlags', 'c.response_flags', '', 'What Envoy noticed, as a list of short names.'],
  ['response.size', 'bytes', 'bytes_sent bodyBytesSent', 'r.response_body_bytes', 'http.response.body.size', 'Bytes of the response body, or sent on a TCP connection.'],
  ['response.headers_size', 'bytes', 'response_headers_bytes', 'r.response_headers_bytes', '', 'Bytes of the response headers, uncompressed.'],
  ['response.trailers_size', 'bytes', 'response_trailers_bytes', '', '', 'Bytes of the response trailers, uncompressed.'],
  ['response.bytes_retransmitted', 'bytes', '', '', '', 'Bytes sent again to downstream (HTTP/3).'],
  ['response.packets_retransmitted', 'int', '', '', '', 'Packets sent again to downstream (HTTP/3).'],
  ['response.duration', 'duration', 'response_duration', 'c.time_to_first_upstream_rx_byte', '', 'From the start to the first upstream byte.'],
  ['response.rx_duration', 'duration', '', 'c.time_to_last_upstream_rx_byte', '', 'From the start to the last upstream byte.'],
  ['response.first_tx_duration', 'duration', '', 'c.time_to_first_downstream_tx_byte', '', 'From the start to the first byte out.'],
  ['response.last_tx_duration', 'duration', '', 'c.time_to_last_downstream_tx_byte', '', 'From the start to the last byte out.'],
  ['response.tx_duration', 'duration', 'response_tx_duration', '', '', 'From the first upstream byte to the last byte out. From ALS: response.last_tx_duration less response.duration.'],
  ['response.grpc_status', 'string', 'grpc_status', '', 'rpc.grpc.status_code', 'gRPC status name.'],
  ['response.body', 'string', 'local_reply_body', '', '', 'Body of a local reply.'],
  ['source.address', 'address', 'downstream_remote_address', 'c.downstream_remote_address', 'client.address', 'The peer downstream, as the proxy trusts it.'],
  ['source.port', 'int', '', '', 'client.port', 'Port of source.address.'],
  ['source.direct_address', 'address', 'downstream_direct_remote_address', 'c.downstream_direct_remote_address', 'network.peer.address', 'The physical peer downstream.'],
  ['source.direct_port', 'int', '', '', 'network.peer.port', 'Port of source.direct_address.'],
  ['destination.address', 'address', 'downstream_local_address', 'c.downstream_local_address', 'server.address', 'The address that downstream connected to.'],
  ['destination.port', 'int', '', '', 'server.port', 'Port of destination.address.'],
  ['destination.direct_address', 'address', 'downstream_direct_local_address', '', '', 'The listener address.'],
  ['destination.direct_port', 'int', '', '', '', 'Port of destination.direct_address.'],
  ['destination.endpoint_id', 'string', '', '', '', 'Endpoint id of destination.address when that is an internal listener.'],
  ['destination.direct_endpoint_id', 'string', '', '', '', 'Endpoint id of destination.direct_address when that is an internal listener.'],
  ['upstream.address', 'address', 'upstream_host upstreamHost', 'c.upstream_remote_address', '', 'The endpoint that was chosen.'],
  ['upstream.port', 'int', '', '', '', 'Port of upstream.address.'],
  ['upstream.remote_address', 'address', 'upstream_remote_address', '', '', 'The peer upstream; differs from upstream.address only for hosts with several addresses.'],
  ['upstream.remote_port', 'int', '', '', '', 'Port of upstream.remote_address.'],
  ['upstream.endpoint_id', 'string', '', '', '', 'Endpoint id of upstream.remote_address when that is an internal listener.'],
  ['upstream.host_name', 'string', 'upstream_host_name', '', '', 'DNS name of the endpoint.'],
  ['upstream.local_address', 'address', 'upstream_local_address', 'c.upstream_local_address', '', "The proxy's own address towards upstream."],
  ['upstream.local_port', 'int', '', '', '', 'Port of upstream.local_address.'],
  ['upstream.hosts_attempted', 'string', '', '', '', 'Endpoints that were tried, joined by commas.'],
  ['upstream.host_names_attempted', 'string', '', '', '', 'Their DNS names.'],
  ['upstream.connection_ids_attempted', 'string', '', '', '', 'Numbers of the connections that were tried, joined by commas.'],
  ['upstream.server_name', 'string', '', '', '', 'SNI sent upstream.'],
  ['upstream.cx_pool_ready_duration', 'duration', '', '', '', 'From asking the connection pool to having a connection.'],
  ['upstream.protocol', 'string', 'upstream_protocol', '', '', 'HTTP version towards upstream.'],
  ['upstream.transport_failure_reason', 'string', 'upstream_transport_failure_reason', 'c.upstream_transport_failure_reason', '', 'Why connecting or the TLS handshake upstream failed.'],
  ['upstream.request_attempt_count', 'int', 'upstream_request_attempt_count', 'c.upstream_request_attempt_count', '', 'Attempts upstream, retries included.'],
  ['upstream.tls_version', 'string', 'upstream_tls_version', '', '', 'TLS version towards upstream.'],
  ['upstream.tls_cipher', 'string', 'upstream_tls_cipher', '', '', 'TLS cipher towards upstream.'],
  ['upstream.tls_group', 'string', '', '', '', 'Key exchange group towards upstream.'],
  ['upstream.tls_session_id', 'string', '', '', '', 'TLS session id towards upstream.'],
  ['upstream.uri_san_peer_certificate', 'string', 'upstream_peer_uri_san', '', '', 'URI SANs of the upstream certificate.'],
  ['upstream.dns_san_peer_certificate', 'string', '', '', '', 'DNS SANs of the upstream certificate.'],
  ['upstream.ip_san_peer_certificate', 'string', '', '', '', 'IP SANs of the upstream certificate.'],
  ['upstream.uri_san_local_certificate', 'string', '', '', '', "URI SANs of the proxy's own certificate towards upstream."],
  ['upstream.dns_san_local_certificate', 'string', '', '', '', "DNS SANs of the proxy's own certificate towards upstream."],
  ['upstream.ip_san_local_certificate', 'string', '', '', '', "IP SANs of the proxy's own certificate towards upstream."],
  ['upstream.subject_peer_certificate', 'string', 'upstream_peer_subject', '', '', 'Subject of the upstream certificate.'],
  ['upstream.subject_local_certificate', 'string', '', '', '', "Subject of the proxy's own certificate towards upstream."],
  ['upstream.issuer_peer_certificate', 'string', '', '', '', 'Issuer of the upstream certificate.'],
  ['upstream.peer_certificate', 'string', '', '', '', 'The upstream certificate, PEM, percent-encoded.'],
  ['upstream.peer_certificate_start', 'time', '', '', '', 'When the upstream certificate became valid.'],
  ['upstream.peer_certificate_end', 'time', '', '', '', 'When the upstream certificate ceases to be valid.'],
  ['upstream.detected_close_type', 'string', '', '', '', 'How the upstream connection was closed.'],
  ['upstream.local_close_reason', 'string', '', '', '', 'Why the proxy closed the upstream connection.'],
  ['connection.requested_server_name', 'string', 'requested_server_name', 't.tls_sni_hostname', 'tls.client.server_name', 'SNI.'],
  ['connection.mtls', 'bool', '', '', '', 'Whether the peer showed a certificate.'],
  ['connection.tls_version', 'string', 'downstream_tls_version', 't.tls_version', 'tls.protocol.version', 'TLS version downstream.'],
  ['connection.tls_cipher', 'string', 'downstream_tls_cipher', 't.tls_cipher_suite', 'tls.cipher', 'TLS cipher downstream, OpenSSL name.'],
  ['connection.tls_group', 'string', '', '', '', 'Key exchange group downstream.'],
  ['connection.tls_session_id', 'string', 'downstream_tls_session_id', 't.tls_session_id', '', 'TLS session id downstream.'],
  ['connection.ja3', 'string', 'tls_ja3_fingerprint', 't.ja3_fingerprint', 'tls.client.ja3', 'JA3 fingerprint of the client.'],
  ['connection.ja4', 'string', 'tls_ja4_fingerprint', '', '', 'JA4 fingerprint of the client.'],
  ['connection.uri_san_peer_certificate', 'string', 'downstream_peer_uri_san', 't.peer_certificate_properties', '', 'URI SANs of the client certificate, joined by commas: the SPIFFE id.'],
  ['connection.uri_san_local_certificate', 'string', 'downstream_local_uri_san', 't.local_certificate_properties', '', "URI SANs of the proxy's own certificate."],
  ['connection.dns_san_peer_certificate', 'string', 'downstream_peer_dns_san', '', '', 'DNS SANs of the client certificate.'],
  ['connection.dns_san_local_certificate', 'string', 'downstream_local_dns_san', '', '', "DNS SANs of the proxy's own certificate."],
  ['connection.ip_san_peer_certificate', 'string', '', '', '', 'IP SANs of the client certificate.'],
  ['connection.ip_san_local_certificate', 'string', '', '', '', "IP SANs of the proxy's own certificate."],
  ['connection.email_san_peer_certificate', 'string', '', '', '', 'E-mail SANs of the client certificate.'],
  ['connection.email_san_local_certificate', 'string', '', '', '', "E-mail SANs of the proxy's own certificate."],
  ['connection.othername_san_peer_certificate', 'string', '', '', '', 'Other SANs of the client certificate.'],
  ['connection.othername_san_local_certificate', 'string', '', '', '', "Other SANs of the proxy's own certificate."],
  ['connection.subject_peer_certificate', 'string', 'downstream_peer_subject', 't.peer_certificate_properties.subject', 'tls.client.subject', 'Subject of the client certificate.'],
  ['connection.subject_local_certificate', 'string', 'downstream_local_subject', 't.local_certificate_properties.subject', '', "Subject of the proxy's own certificate."],
  ['connection.issuer_peer_certificate', 'string', 'downstream_peer_issuer', 't.peer_certificate_properties.issuer', 'tls.client.issuer', 'Issuer of the client certificate.'],
  ['connection.sha256_peer_certificate_digest', 'string', 'downstream_peer_fingerprint_256', '', '', 'SHA-256 of the client certificate.'],
  ['connection.serial_peer_certificate', 'string', 'downstream_peer_serial', '', '', 'Serial number of the client certificate.'],
  ['connection.sha1_peer_certificate_digest', 'string', '', '', '', 'SHA-1 of the client certificate.'],
  ['connection.sha256_peer_certificate_chain_digests', 'string', '', '', '', "SHA-256 of the client's certificates, joined by commas."],
  ['connection.sha1_peer_certificate_chain_digests', 'string', '', '', '', "SHA-1 of the client's certificates, joined by commas."],
  ['connection.serial_peer_certificate_chain', 'string', '', '', '', "Serial numbers of the client's certificates, joined by commas."],
  ['connection.sha256_peer_issuer_digest', 'string', '', '', '', "SHA-256 of the certificate of the client certificate's issuer."],
  ['connection.serial_peer_issuer', 'string', '', '', '', "Serial number of the certificate of the client certificate's issuer."],
  ['connection.peer_certificate', 'string', '', '', '', 'The client certificate, PEM, percent-encoded.'],
  ['connection.peer_certificate_start', 'time', '', '', '', 'When the client certificate became valid.'],
  ['connection.peer_certificate_end', 'time', '', '', '', 'When the client certificate ceases to be valid.'],
  ['connection.detected_close_type', 'string', '', '', '', 'How the downstream connection was closed.'],
  ['connection.local_close_reason', 'string', '', '', '', 'Why the proxy closed the downstream connection.'],
  ['connection.handshake_duration', 'duration', '', '', '', 'From the start to the end of the downstream handshake.'],
  ['connection.roundtrip_duration', 'duration', '', '', '', 'From the start to the last acknowledgement of the client (HTTP/3).'],
  ['connection.termination_details', 'string', 'connection_termination_details', 'c.connection_termination_details', '', 'Why the connection was ended.'],
  ['connection.transport_failure_reason', 'string', 'downstream_transport_failure_reason', 'c.downstream_transport_failure_reason', '', 'Why the handshake downstream failed.'],
  ['connection.id', 'int', 'connection_id', '', '', 'Number of the downstream connection in this proxy.'],
  ['upstream.connection_id', 'int', 'upstream_connection_id', '', '', 'Number of the upstream connection in this proxy.'],
  ['xds.cluster_name', 'string', 'upstream_cluster', 'c.upstream_cluster', '', 'Envoy cluster; in Istio direction|port|subset|host.'],
  ['xds.route_name', 'string', 'route_name', 'c.route_name', 'http.route', 'Name of the route that matched.'],
  ['xds.virtual_cluster_name', 'string', 'virtual_cluster_name', '', '', 'Name of the virtual cluster.'],
  ['xds.filter_chain_name', 'string', 'filter_chain_name', '', '', 'Name of the filter chain.'],
  ['stream.id', 'string', 'stream_id', 'c.stream_id', '', 'Id of the stream; for HTTP the x-request-id.'],
  ['trace.id', 'string', 'trace_id', '', '', 'Trace id; also the trace id of the record when it is 32 hex digits.'],
  ['span.id', 'string', 'span_id', '', '', 'Span id.'],
  ['downstream.wire_bytes_sent', 'bytes', 'downstream_wire_bytes_sent', 'c.downstream_wire_bytes_sent', '', 'Bytes written downstream, framing included.'],
  ['downstream.wire_bytes_received', 'bytes', 'downstream_wire_bytes_received', 'c.downstream_wire_bytes_received', '', 'Bytes read from downstream, framing included.'],
  ['upstream.wire_bytes_sent', 'bytes', 'upstream_wire_bytes_sent', 'c.upstream_wire_bytes_sent', '', 'Bytes written upstream, framing included.'],
  ['upstream.wire_bytes_received', 'bytes', 'upstream_wire_bytes_received', 'c.upstream_wire_bytes_received', '', 'Bytes read from upstream, framing included.'],
  ['downstream.header_bytes_sent', 'bytes', 'downstream_header_bytes_sent', 'r.downstream_header_bytes_sent', '', 'Header bytes written downstream.'],
  ['downstream.header_bytes_received', 'bytes', 'downstream_header_bytes_received', 'q.downstream_header_bytes_received', '', 'Header bytes read from downstream.'],
  ['upstream.header_bytes_sent', 'bytes', 'upstream_header_bytes_sent', 'q.upstream_header_bytes_sent', '', 'Header bytes written upstream.'],
  ['upstream.header_bytes_received', 'bytes', 'upstream_header_bytes_received', 'r.upstream_header_bytes_received', '', 'Header bytes read from upstream.'],
  ['downstream.decompressed_header_bytes_sent', 'bytes', '', '', '', 'Header bytes written downstream, before compression.'],
  ['downstream.decompressed_header_bytes_received', 'bytes', '', '', '', 'Header bytes read from downstream, uncompressed.'],
  ['upstream.decompressed_header_bytes_sent', 'bytes', '', '', '', 'Header bytes written upstream, before compression.'],
  ['upstream.decompressed_header_bytes_received', 'bytes', '', '', '', 'Header bytes read from upstream, uncompressed.'],
  ['access_log.sample_rate', 'double', '', 'c.sample_rate', '', 'Share of the entries that the proxy wrote.'],
  ['access_log.type', 'string', 'access_log_type', 'c.access_log_type', '', 'At which point of the stream the entry was written.'],
  ['access_log.intermediate', 'bool', '', 'c.intermediate_log_entry', '', 'True of entries written while the stream goes on: they are no further request.'],
  ['access_log.emit_time', 'time', '', '', '', 'When the proxy wrote the entry.'],
  ['access_log.custom_flags', 'string', '', '', '', 'Flags that extensions of the proxy set, joined by commas.'],
  ['access_log.unique_id', 'string', '', '', '', 'Id that the proxy gave to the entry.'],
  ['node.host_name', 'string', 'hostname', '', '', 'Host name of the proxy.'],
  ['mesh.name', 'string', 'kuma_mesh', '', '', 'Mesh in which the traffic flows.'],
  ['mesh.cluster', 'string', '', '', 'k8s.cluster.name', 'Cluster of the reporting proxy.'],
  ['mesh.zone', 'string', 'kuma_zone', '', '', 'Zone of the reporting proxy.'],
  ['mesh.workload', 'string', '', '', '', 'Workload of the reporting proxy.'],
  ['mesh.namespace', 'string', '', '', '', 'Its namespace.'],
  ['mesh.direction', 'string', 'kuma_traffic_direction', '', '', 'inbound or outbound, seen from the reporting proxy.'],
  ['mesh.reporter', 'string', '', '', '', 'Who wrote the entry: source, destination or gateway.'],
  ['mesh.source.service', 'string', 'kuma_source_service', '', '', 'Service that called.'],
  ['mesh.source.address', 'string', 'kuma_source_address_without_port', '', '', 'Address of the data plane that called, without port.'],
  ['mesh.source.workload', 'string', 'kuma_workload', '', '', 'Workload that called.'],
  ['mesh.source.namespace', 'string', '', '', '', 'Its namespace.'],
  ['mesh.source.cluster', 'string', '', '', '', 'Its cluster.'],
  ['mesh.source.identity', 'string', '', '', '', 'Its SPIFFE id.'],
  ['mesh.destination.service', 'string', 'kuma_destination_service', '', '', 'Service that was called.'],
  ['mesh.destination.workload', 'string', '', '', '', 'Workload that was called.'],
  ['mesh.destination.namespace', 'string', '', '', '', 'Its namespace.'],
  ['mesh.destination.cluster', 'string', '', '', '', 'Its cluster.'],
  ['mesh.destination.port', 'int', '', '', '', 'Port of the service that was called.'],
  ['mesh.destination.host', 'string', '', '', '', 'Full host name of the service that was called.'],
  ['mesh.destination.subset', 'string', '', '', '', 'Subset (version) that the route chose.'],
  ['mesh.destination.identity', 'string', '', '', '', 'Its SPIFFE id.'],
  ['mesh.protocol', 'string', '', '', '', 'http, grpc or tcp.'],
  ['mesh.tls_mode', 'string', '', '', '', 'none, tls or mtls.'],
  ['mesh.evidence', 'string', '', '', '', 'The rules that found out the reporter and named source and destination.'],
  ['mesh.explanation', 'string', '', '', '', 'What went wrong, in plain words.'],
];

/** Prefixes of open fields: the rest of the name is a header, a metadata path or a filter state key. */
export const openFields = [
  'request.headers.',
  'response.headers.',
  'response.trailers.',
  'metadata.',
  'filter_state.',
  'custom_tags.',
  // One parameter of the query, where only that was printed.
  'request.query.',
  // Milliseconds from the start to a time point of COMMON_DURATION that no field above stands for, or between two.
  'timing.',
  // Metadata of the configuration, by namespace as `metadata.` is.
  'xds.cluster_metadata.',
  'xds.route_metadata.',
  'xds.upstream_host_metadata.',
  'xds.listener_metadata.',
  'xds.listener_filter_chain_metadata.',
  'xds.virtual_host_metadata.',
  'upstream.filter_state.',
  'node.environment.',
] as const;

/** The field of every name, in the order in which the reference lists them. */
export const fields: ReadonlyMap<string, Field> = new Map(
  rows.map(([name, type, keys, als, semconv, meaning]) => [
    name,
    {
      name,
      type,
      meaning,
      ...(keys === '' ? {} : { keys: keys.split(' ') }),
      ...(als === '' ? {} : { als }),
      ...(semconv === '' ? {} : { semconv }),
    },
  ]),
);

/** JSON keys whose operator prints a header: they have no row of their own (rule: REQ(x) is request.headers.x). */
const headerKeys: Readonly<Record<string, string>> = {
  upstream_service_time: 'response.headers.x-envoy-upstream-service-time',
  upstreamServiceTime: 'response.headers.x-envoy-upstream-service-time',
  x_forwarded_for: 'request.headers.x-forwarded-for',
  xffIp: 'request.headers.x-forwarded-for',
  cacheStatus: 'response.headers.x-cache-status',
  fuseStatus: 'response.headers.x-envoy-circuitbreaking',
  downgradeStatus: 'response.headers.x-downgrade-status',
  secureStatus: 'response.headers.x-secure-status',
  remoteUser: 'request.headers.remote-user',
  httpReferer: 'request.headers.http-referer',
};

const byKey = new Map<string, Field>();
for (const field of fields.values()) for (const key of field.keys ?? []) byKey.set(key, field);

/** The field that a JSON access log means by a key; undefined: the key is none of ours and keeps its name. */
export function fieldOfKey(key: string): Field | undefined {
  const field = byKey.get(key);
  if (field !== undefined) return field;
  const header = Object.hasOwn(headerKeys, key) ? headerKeys[key] : undefined;
  return header === undefined ? undefined : fieldOf(header);
}

/** The field of a name, open fields included; undefined when the vocabulary has no such name. */
export function fieldOf(name: string): Field | undefined {
  const field = fields.get(name);
  if (field !== undefined) return field;
  const prefix = openFields.find((open) => name.startsWith(open) && name.length > open.length);
  if (prefix === undefined) return undefined;
  return { name, type: openType(prefix), meaning: `An entry of ${prefix.slice(0, -1)}.` };
}

function openType(prefix: string): FieldType {
  if (prefix === 'timing.') return 'duration';
  return /metadata\.$|filter_state\.$/.test(prefix) ? 'json' : 'string';
}

/** The nanoseconds of a duration in milliseconds, exact for what ALS gave (see FieldType). */
export function nanosOf(ms: number): number {
  return Math.round(ms * 1e6);
}
