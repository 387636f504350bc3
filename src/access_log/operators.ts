// Every command operator in one table: Envoy's (with deprecated and newer spellings) and Kuma's. The grammar, the
// renderer, the parser and the reference read it; what a single operator needs beyond a row is in format/arguments.ts.

/**
 * What an operator prints, hence how absence looks, what a lone operator is in JSON, and how a parsed value is kept.
 * `count` is never absent (0), `always` is a string even when empty, everything else is `-` or null.
 */
export type OperatorKind =
  | 'count'
  | 'duration'
  | 'text'
  | 'always'
  /** Whitespace becomes `_`. */
  | 'details'
  /** Spaces become `_`. */
  | 'reason'
  | 'server_name'
  | 'address'
  | 'ip'
  | 'port'
  | 'host_name'
  | 'flags'
  | 'flags_long'
  | 'time'
  | 'header'
  | 'path'
  | 'query'
  | 'query_param'
  | 'metadata'
  | 'filter_state'
  | 'common_duration'
  | 'grpc_status'
  | 'xfcc'
  | 'headers'
  | 'environment'
  | 'unique_id'
  | 'coalesce'
  | 'cel'
  | 'direction'
  | 'kuma_address'
  /** Values that no record can carry. */
  | 'nothing';

/**
 * The bytes that a value can hold, as far as parsing relies on it. `free` is whatever a client sends: quotes and spaces
 * too. Everything else comes from the proxy or its configuration.
 */
export type Alphabet =
  | 'digits'
  | 'duration'
  | 'flags'
  | 'protocol'
  | 'method'
  | 'address'
  | 'name'
  | 'token'
  | 'server_name'
  | 'id'
  | 'sentence'
  | 'path'
  | 'authority'
  | 'time'
  | 'free';

export type Operator = {
  readonly name: string;
  /** `-` none, `x` optional, `x!` required. */
  readonly params: '-' | 'x' | 'x!';
  /** Whether `:Z` may follow. */
  readonly length: boolean;
  readonly kind: OperatorKind;
  /** The field that it prints, or what the kind makes one of with the arguments; '' when there is none. */
  readonly field: string;
  readonly alphabet: Alphabet;
  /** Whether only HTTP has it: TCP prints nothing. */
  readonly http: boolean;
};

type Row = readonly [
  names: string,
  args: '-' | 'x' | 'x!' | 'x!:Z' | 'x:Z',
  kind: OperatorKind,
  field: string,
  alphabet: Alphabet,
  scope?: 'http',
];

// biome-ignore format: a table reads best with one row a line.
const rows: readonly Row[] = [
  ['START_TIME START_TIME_LOCAL', 'x', 'time', 'request.time', 'time'],
  ['EMIT_TIME EMIT_TIME_LOCAL', 'x', 'time', 'access_log.emit_time', 'time'],
  ['REQUEST_HEADERS_BYTES', '-', 'count', 'request.headers_size', 'digits', 'http'],
  ['RESPONSE_HEADERS_BYTES', '-', 'count', 'response.headers_size', 'digits', 'http'],
  ['RESPONSE_TRAILERS_BYTES', '-', 'count', 'response.trailers_size', 'digits', 'http'],
  ['BYTES_RECEIVED', '-', 'count', 'request.size', 'digits'],
  ['BYTES_SENT', '-', 'count', 'response.size', 'digits'],
  ['BYTES_RETRANSMITTED', '-', 'count', 'response.bytes_retransmitted', 'digits', 'http'],
  ['PACKETS_RETRANSMITTED', '-', 'count', 'response.packets_retransmitted', 'digits', 'http'],
  ['PROTOCOL', '-', 'text', 'request.protocol', 'protocol', 'http'],
  ['UPSTREAM_PROTOCOL', '-', 'text', 'upstream.protocol', 'protocol', 'http'],
  ['RESPONSE_CODE', '-', 'count', 'response.code', 'digits', 'http'],
  ['RESPONSE_CODE_DETAILS', 'x', 'details', 'response.code_details', 'token'],
  ['CONNECTION_TERMINATION_DETAILS', '-', 'text', 'connection.termination_details', 'sentence'],
  ['RESPONSE_FLAGS', '-', 'flags', 'response.flags', 'flags'],
  ['RESPONSE_FLAGS_LONG', '-', 'flags_long', 'response.flags', 'flags'],
  ['ROUTE_NAME', '-', 'text', 'xds.route_name', 'name'],
  ['VIRTUAL_CLUSTER_NAME', '-', 'text', 'xds.virtual_cluster_name', 'name', 'http'],
  ['DURATION', '-', 'duration', 'request.duration', 'duration'],
  ['REQUEST_DURATION', '-', 'duration', 'request.rx_duration', 'duration', 'http'],
  ['REQUEST_TX_DURATION', '-', 'duration', 'request.tx_duration', 'duration', 'http'],
  ['RESPONSE_DURATION', '-', 'duration', 'response.duration', 'duration', 'http'],
  ['RESPONSE_TX_DURATION', '-', 'duration', 'response.tx_duration', 'duration', 'http'],
  ['ROUNDTRIP_DURATION', '-', 'duration', 'connection.roundtrip_duration', 'duration'],
  ['DOWNSTREAM_HANDSHAKE_DURATION', '-', 'duration', 'connection.handshake_duration', 'duration'],
  ['UPSTREAM_CONNECTION_POOL_READY_DURATION', '-', 'duration', 'upstream.cx_pool_ready_duration', 'duration'],
  ['COMMON_DURATION', 'x!', 'common_duration', '', 'duration'],
  ['UPSTREAM_REQUEST_ATTEMPT_COUNT', '-', 'count', 'upstream.request_attempt_count', 'digits'],
  ['UPSTREAM_WIRE_BYTES_SENT', '-', 'count', 'upstream.wire_bytes_sent', 'digits'],
  ['UPSTREAM_WIRE_BYTES_RECEIVED', '-', 'count', 'upstream.wire_bytes_received', 'digits'],
  ['DOWNSTREAM_WIRE_BYTES_SENT', '-', 'count', 'downstream.wire_bytes_sent', 'digits'],
  ['DOWNSTREAM_WIRE_BYTES_RECEIVED', '-', 'count', 'downstream.wire_bytes_received', 'digits'],
  ['UPSTREAM_HEADER_BYTES_SENT', '-', 'count', 'upstream.header_bytes_sent', 'digits', 'http'],
  ['UPSTREAM_HEADER_BYTES_RECEIVED', '-', 'count', 'upstream.header_bytes_received', 'digits', 'http'],
  ['DOWNSTREAM_HEADER_BYTES_SENT', '-', 'count', 'downstream.header_bytes_sent', 'digits', 'http'],
  ['DOWNSTREAM_HEADER_BYTES_RECEIVED', '-', 'count', 'downstream.header_bytes_received', 'digits', 'http'],
  ['UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT', '-', 'count', 'upstream.decompressed_header_bytes_sent', 'digits', 'http'],
  ['UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED', '-', 'count', 'upstream.decompressed_header_bytes_received', 'digits', 'http'],
  ['DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT', '-', 'count', 'downstream.decompressed_header_bytes_sent', 'digits', 'http'],
  ['DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED', '-', 'count', 'downstream.decompressed_header_bytes_received', 'digits', 'http'],
  ['UPSTREAM_HOST', '-', 'address', 'upstream.address', 'address'],
  ['UPSTREAM_REMOTE_ADDRESS', 'x', 'address', 'upstream.remote_address', 'address'],
  ['UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', 'x', 'ip', 'upstream.remote_address', 'address'],
  ['UPSTREAM_REMOTE_PORT', '-', 'port', 'upstream.remote_address', 'digits'],
  ['UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID', '-', 'text', 'upstream.endpoint_id', 'name'],
  ['UPSTREAM_HOST_NAME', '-', 'host_name', 'upstream.host_name', 'name'],
  ['UPSTREAM_HOST_NAME_WITHOUT_PORT', '-', 'host_name', 'upstream.host_name', 'name'],
  ['UPSTREAM_HOSTS_ATTEMPTED', '-', 'text', 'upstream.hosts_attempted', 'token'],
  ['UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT', '-', 'text', 'upstream.host_names_attempted', 'token'],
  ['UPSTREAM_CONNECTION_IDS_ATTEMPTED', '-', 'text', 'upstream.connection_ids_attempted', 'token'],
  ['UPSTREAM_CLUSTER', '-', 'text', 'xds.cluster_name', 'name'],
  ['UPSTREAM_CLUSTER_RAW', '-', 'text', 'xds.cluster_name', 'name'],
  ['UPSTREAM_LOCAL_ADDRESS', 'x', 'address', 'upstream.local_address', 'address'],
  ['UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT', 'x', 'ip', 'upstream.local_address', 'address'],
  ['UPSTREAM_LOCAL_PORT', '-', 'port', 'upstream.local_address', 'digits'],
  ['DOWNSTREAM_REMOTE_ADDRESS', 'x', 'address', 'source.address', 'address'],
  ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', 'x', 'ip', 'source.address', 'address'],
  ['DOWNSTREAM_REMOTE_PORT', '-', 'port', 'source.address', 'digits'],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS', 'x', 'address', 'source.direct_address', 'address'],
  ['DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT', 'x', 'ip', 'source.direct_address', 'address'],
  ['DOWNSTREAM_DIRECT_REMOTE_PORT', '-', 'port', 'source.direct_address', 'digits'],
  ['DOWNSTREAM_LOCAL_ADDRESS', 'x', 'address', 'destination.address', 'address'],
  ['DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT', 'x', 'ip', 'destination.address', 'address'],
  ['DOWNSTREAM_LOCAL_PORT', '-', 'port', 'destination.address', 'digits'],
  ['DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID', '-', 'text', 'destination.endpoint_id', 'name'],
  ['DOWNSTREAM_DIRECT_LOCAL_ADDRESS', 'x', 'address', 'destination.direct_address', 'address'],
  ['DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT', 'x', 'ip', 'destination.direct_address', 'address'],
  ['DOWNSTREAM_DIRECT_LOCAL_PORT', '-', 'port', 'destination.direct_address', 'digits'],
  ['DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID', '-', 'text', 'destination.direct_endpoint_id', 'name'],
  ['UPSTREAM_TRANSPORT_FAILURE_REASON', '-', 'reason', 'upstream.transport_failure_reason', 'sentence'],
  ['DOWNSTREAM_TRANSPORT_FAILURE_REASON', '-', 'reason', 'connection.transport_failure_reason', 'sentence'],
  ['UPSTREAM_DETECTED_CLOSE_TYPE', '-', 'text', 'upstream.detected_close_type', 'name'],
  ['DOWNSTREAM_DETECTED_CLOSE_TYPE', '-', 'text', 'connection.detected_close_type', 'name'],
  ['UPSTREAM_LOCAL_CLOSE_REASON', '-', 'text', 'upstream.local_close_reason', 'sentence'],
  ['DOWNSTREAM_LOCAL_CLOSE_REASON', '-', 'text', 'connection.local_close_reason', 'sentence'],
  ['CONNECTION_ID', '-', 'count', 'connection.id', 'digits'],
  ['UPSTREAM_CONNECTION_ID', '-', 'count', 'upstream.connection_id', 'digits'],
  ['STREAM_ID', '-', 'text', 'stream.id', 'free'],
  ['GRPC_STATUS', 'x', 'grpc_status', 'response.grpc_status', 'name', 'http'],
  ['GRPC_STATUS_NUMBER', '-', 'grpc_status', 'response.grpc_status', 'name', 'http'],
  ['REQ REQUEST_HEADER STREAM_INFO_REQ', 'x!:Z', 'header', 'request.headers.', 'free', 'http'],
  ['REQ_WITHOUT_QUERY', 'x!:Z', 'header', 'request.headers.', 'free', 'http'],
  ['RESP RESPONSE_HEADER', 'x!:Z', 'header', 'response.headers.', 'free', 'http'],
  ['TRAILER RESPONSE_TRAILER', 'x!:Z', 'header', 'response.trailers.', 'free', 'http'],
  ['PATH', 'x:Z', 'path', 'request.path', 'path', 'http'],
  ['QUERY_PARAM', 'x!:Z', 'query_param', 'request.query.', 'path', 'http'],
  ['QUERY_PARAMS', 'x:Z', 'query', 'request.query', 'path', 'http'],
  ['DYNAMIC_METADATA', 'x!:Z', 'metadata', 'metadata.', 'free'],
  ['CLUSTER_METADATA', 'x!:Z', 'metadata', 'xds.cluster_metadata.', 'free'],
  ['UPSTREAM_METADATA', 'x!:Z', 'metadata', 'xds.upstream_host_metadata.', 'free'],
  ['METADATA', 'x!:Z', 'metadata', '', 'free'],
  ['FILTER_STATE', 'x:Z', 'filter_state', 'filter_state.', 'free'],
  ['UPSTREAM_FILTER_STATE', 'x:Z', 'filter_state', 'upstream.filter_state.', 'free'],
  ['REQUESTED_SERVER_NAME', 'x', 'server_name', 'connection.requested_server_name', 'server_name'],
  ['DOWNSTREAM_TLS_VERSION', '-', 'text', 'connection.tls_version', 'name'],
  ['DOWNSTREAM_TLS_CIPHER', '-', 'text', 'connection.tls_cipher', 'name'],
  ['DOWNSTREAM_TLS_GROUP', '-', 'text', 'connection.tls_group', 'name'],
  ['DOWNSTREAM_TLS_SESSION_ID', '-', 'text', 'connection.tls_session_id', 'name'],
  ['DOWNSTREAM_PEER_SUBJECT', '-', 'text', 'connection.subject_peer_certificate', 'free'],
  ['DOWNSTREAM_PEER_ISSUER', '-', 'text', 'connection.issuer_peer_certificate', 'sentence'],
  ['DOWNSTREAM_LOCAL_SUBJECT', '-', 'text', 'connection.subject_local_certificate', 'sentence'],
  ['DOWNSTREAM_PEER_URI_SAN', '-', 'text', 'connection.uri_san_peer_certificate', 'token'],
  ['DOWNSTREAM_LOCAL_URI_SAN', '-', 'text', 'connection.uri_san_local_certificate', 'token'],
  ['DOWNSTREAM_PEER_DNS_SAN', '-', 'text', 'connection.dns_san_peer_certificate', 'token'],
  ['DOWNSTREAM_LOCAL_DNS_SAN', '-', 'text', 'connection.dns_san_local_certificate', 'token'],
  ['DOWNSTREAM_PEER_IP_SAN', '-', 'text', 'connection.ip_san_peer_certificate', 'token'],
  ['DOWNSTREAM_LOCAL_IP_SAN', '-', 'text', 'connection.ip_san_local_certificate', 'token'],
  ['DOWNSTREAM_PEER_EMAIL_SAN', '-', 'text', 'connection.email_san_peer_certificate', 'token'],
  ['DOWNSTREAM_LOCAL_EMAIL_SAN', '-', 'text', 'connection.email_san_local_certificate', 'token'],
  ['DOWNSTREAM_PEER_OTHERNAME_SAN', '-', 'text', 'connection.othername_san_peer_certificate', 'free'],
  ['DOWNSTREAM_LOCAL_OTHERNAME_SAN', '-', 'text', 'connection.othername_san_local_certificate', 'sentence'],
  ['DOWNSTREAM_PEER_FINGERPRINT_256', '-', 'text', 'connection.sha256_peer_certificate_digest', 'name'],
  ['DOWNSTREAM_PEER_FINGERPRINT_1', '-', 'text', 'connection.sha1_peer_certificate_digest', 'name'],
  ['DOWNSTREAM_PEER_SERIAL', '-', 'text', 'connection.serial_peer_certificate', 'name'],
  ['DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256', '-', 'text', 'connection.sha256_peer_certificate_chain_digests', 'token'],
  ['DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1', '-', 'text', 'connection.sha1_peer_certificate_chain_digests', 'token'],
  ['DOWNSTREAM_PEER_CHAIN_SERIALS', '-', 'text', 'connection.serial_peer_certificate_chain', 'token'],
  ['DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256', '-', 'text', 'connection.sha256_peer_issuer_digest', 'name'],
  ['DOWNSTREAM_PEER_ISSUER_SERIAL', '-', 'text', 'connection.serial_peer_issuer', 'name'],
  ['DOWNSTREAM_PEER_CERT', '-', 'text', 'connection.peer_certificate', 'token'],
  ['DOWNSTREAM_PEER_CERT_V_START', 'x', 'time', 'connection.peer_certificate_start', 'time'],
  ['DOWNSTREAM_PEER_CERT_V_END', 'x', 'time', 'connection.peer_certificate_end', 'time'],
  ['TLS_JA3_FINGERPRINT', '-', 'text', 'connection.ja3', 'name'],
  ['TLS_JA4_FINGERPRINT', '-', 'text', 'connection.ja4', 'name'],
  ['UPSTREAM_PEER_SUBJECT', '-', 'text', 'upstream.subject_peer_certificate', 'sentence'],
  ['UPSTREAM_PEER_ISSUER', '-', 'text', 'upstream.issuer_peer_certificate', 'sentence'],
  ['UPSTREAM_LOCAL_SUBJECT', '-', 'text', 'upstream.subject_local_certificate', 'sentence'],
  ['UPSTREAM_PEER_CERT', '-', 'text', 'upstream.peer_certificate', 'token'],
  ['UPSTREAM_PEER_CERT_V_START', 'x', 'time', 'upstream.peer_certificate_start', 'time'],
  ['UPSTREAM_PEER_CERT_V_END', 'x', 'time', 'upstream.peer_certificate_end', 'time'],
  ['UPSTREAM_TLS_VERSION', '-', 'text', 'upstream.tls_version', 'name'],
  ['UPSTREAM_TLS_CIPHER', '-', 'text', 'upstream.tls_cipher', 'name'],
  ['UPSTREAM_TLS_GROUP', '-', 'text', 'upstream.tls_group', 'name'],
  ['UPSTREAM_TLS_SESSION_ID', '-', 'text', 'upstream.tls_session_id', 'name'],
  ['UPSTREAM_SERVER_NAME', '-', 'text', 'upstream.server_name', 'name'],
  ['UPSTREAM_PEER_URI_SAN', '-', 'text', 'upstream.uri_san_peer_certificate', 'token'],
  ['UPSTREAM_LOCAL_URI_SAN', '-', 'text', 'upstream.uri_san_local_certificate', 'token'],
  ['UPSTREAM_PEER_DNS_SAN', '-', 'text', 'upstream.dns_san_peer_certificate', 'token'],
  ['UPSTREAM_LOCAL_DNS_SAN', '-', 'text', 'upstream.dns_san_local_certificate', 'token'],
  ['UPSTREAM_PEER_IP_SAN', '-', 'text', 'upstream.ip_san_peer_certificate', 'token'],
  ['UPSTREAM_LOCAL_IP_SAN', '-', 'text', 'upstream.ip_san_local_certificate', 'token'],
  ['HOSTNAME', '-', 'text', 'node.host_name', 'name'],
  ['LOCAL_REPLY_BODY', '-', 'always', 'response.body', 'free', 'http'],
  ['FILTER_CHAIN_NAME', '-', 'text', 'xds.filter_chain_name', 'name'],
  ['ACCESS_LOG_TYPE', '-', 'always', 'access_log.type', 'name'],
  ['UNIQUE_ID', '-', 'unique_id', 'access_log.unique_id', 'id'],
  ['ENVIRONMENT', 'x!:Z', 'environment', 'node.environment.', 'sentence'],
  ['TRACE_ID', '-', 'text', 'trace.id', 'id'],
  ['SPAN_ID', '-', 'text', 'span.id', 'id'],
  ['CUSTOM_FLAGS', '-', 'always', 'access_log.custom_flags', 'token'],
  ['COALESCE', 'x!:Z', 'coalesce', '', 'free'],
  ['CEL', 'x!:Z', 'cel', '', 'free'],
  ['TYPED_CEL', 'x!:Z', 'cel', '', 'free'],
  ['XFCC_VALUE', 'x', 'xfcc', '', 'free', 'http'],
  ['REQ_ALL_HEADERS', '-', 'headers', 'request.headers.', 'free', 'http'],
  ['RESP_ALL_HEADERS', '-', 'headers', 'response.headers.', 'free', 'http'],
  ['FILE_CONTENT', 'x!:Z', 'nothing', '', 'free'],
  ['SECRET', 'x!:Z', 'nothing', '', 'free'],
  ['KUMA_MESH', '-', 'text', 'mesh.name', 'name'],
  ['KUMA_ZONE', '-', 'text', 'mesh.zone', 'name'],
  ['KUMA_WORKLOAD', '-', 'text', 'mesh.source.workload', 'name'],
  ['KUMA_SOURCE_SERVICE', '-', 'text', 'mesh.source.service', 'name'],
  ['KUMA_DESTINATION_SERVICE', '-', 'text', 'mesh.destination.service', 'name'],
  ['KUMA_SOURCE_ADDRESS', '-', 'kuma_address', 'mesh.source.address', 'address'],
  ['KUMA_SOURCE_ADDRESS_WITHOUT_PORT', '-', 'text', 'mesh.source.address', 'address'],
  ['KUMA_TRAFFIC_DIRECTION', '-', 'direction', 'mesh.direction', 'name'],
];

/** Every operator by every spelling of its name, in the order of the reference. */
export const operators: ReadonlyMap<string, Operator> = new Map(
  rows.flatMap(([names, args, kind, field, alphabet, scope]) =>
    names.split(' ').map((name) => [
      name,
      {
        name,
        params: args.replace(':Z', '') as Operator['params'],
        length: args.endsWith(':Z'),
        kind,
        field,
        alphabet,
        http: scope === 'http',
      },
    ]),
  ),
);
