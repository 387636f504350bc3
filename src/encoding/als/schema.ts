// The messages of Envoy's access log service as they are on the wire and in proto-JSON, and which field of the vocabulary
// each of their fields becomes. v2 messages are a subset with the same numbers.

import { flagTable } from '../../access_log/flags.ts';
import { Dictionary } from '../../pipeline/column.ts';

/** An enumeration: names by number, and the texts that cells get. */
export type Enum = {
  readonly kind: 'enum';
  readonly names: readonly string[];
  /** The texts, and by number the codes of them; -1 where nothing is said. */
  readonly dictionary: Dictionary;
  readonly codes: Int32Array;
};

export type Message = {
  readonly kind: 'message';
  readonly fields: readonly (Field | undefined)[];
  readonly byName: ReadonlyMap<string, Field>;
};

export type FieldKind =
  | 'string'
  | 'uint'
  | 'double'
  | 'bool'
  /** google.protobuf's UInt32Value, Duration, Timestamp, Struct, Any. */
  | 'uint_value'
  | 'duration'
  | 'timestamp'
  | 'struct'
  | 'any'
  /** Maps from strings to strings, Structs, Anys. */
  | 'strings'
  | 'structs'
  | 'anys'
  | Enum
  | Message;

export type Field = {
  readonly number: number;
  readonly name: string;
  readonly type: FieldKind;
  readonly repeated: boolean;
  /** The vocabulary's name, or the prefix that a map's keys get; '' when something else reads the field. */
  readonly field: string;
};

type Row = readonly [number: number, name: string, type: FieldKind, field?: string];

function message(rows: readonly Row[], repeated: readonly string[] = []): Message {
  const fields: Field[] = [];
  for (const [number, name, type, field = ''] of rows) {
    fields[number] = { number, name, type, field, repeated: repeated.includes(name) };
  }
  const named = fields.filter((field) => field !== undefined);
  return { kind: 'message', fields, byName: new Map(named.map((field) => [field.name, field])) };
}

function enumeration(values: readonly (readonly [name: string, text?: string])[]): Enum {
  const dictionary = new Dictionary();
  const texts = values.map(([name, text = name]) => text);
  const codes = Int32Array.from(texts, (text) => (text === '' ? -1 : dictionary.code(text)));
  return { kind: 'enum', names: values.map(([name]) => name), dictionary, codes };
}

const method = enumeration([
  ['METHOD_UNSPECIFIED', ''],
  ...['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'].map(
    (name) => [name] as const,
  ),
]);

const protocol = enumeration([
  ['PROTOCOL_UNSPECIFIED', ''],
  ['HTTP10', 'HTTP/1.0'],
  ['HTTP11', 'HTTP/1.1'],
  ['HTTP2', 'HTTP/2'],
  ['HTTP3', 'HTTP/3'],
]);

const tlsVersion = enumeration([
  ['VERSION_UNSPECIFIED', ''],
  ['TLSv1', 'TLSv1'],
  ['TLSv1_1', 'TLSv1.1'],
  ['TLSv1_2', 'TLSv1.2'],
  ['TLSv1_3', 'TLSv1.3'],
]);

/** When in the life of a stream an entry was written. */
export const logType = enumeration([
  ['NotSet', ''],
  ['TcpUpstreamConnected'],
  ['TcpPeriodic'],
  ['TcpConnectionEnd'],
  ['DownstreamStart'],
  ['DownstreamPeriodic'],
  ['DownstreamEnd'],
  ['UpstreamPoolReady'],
  ['UpstreamPeriodic'],
  ['UpstreamEnd'],
  ['DownstreamTunnelSuccessfullyEstablished'],
  ['UdpTunnelUpstreamConnected'],
  ['UdpPeriodic'],
  ['UdpSessionEnd'],
  ['TcpConnectionStart'],
]);

/** Types of entries that are written while the stream goes on: another entry of it follows. */
export const intermediateTypes: readonly boolean[] = logType.names.map((name) =>
  /Start$|Periodic$|Connected$|PoolReady$|Established$/.test(name),
);

const socketAddress = message([
  [1, 'protocol', enumeration([['TCP'], ['UDP']])],
  [2, 'address', 'string'],
  [3, 'port_value', 'uint'],
  [4, 'named_port', 'string'],
  [5, 'resolver_name', 'string'],
  [6, 'ipv4_compat', 'bool'],
  [7, 'network_namespace_filepath', 'string'],
]);

export const address = message([
  [1, 'socket_address', socketAddress],
  [
    2,
    'pipe',
    message([
      [1, 'path', 'string'],
      [2, 'mode', 'uint'],
    ]),
  ],
  [
    3,
    'envoy_internal_address',
    message([
      [1, 'server_listener_name', 'string'],
      [2, 'endpoint_id', 'string'],
    ]),
  ],
]);

export const metadata = message([
  [1, 'filter_metadata', 'structs', 'metadata.'],
  [2, 'typed_filter_metadata', 'anys', 'metadata.'],
]);

const unauthorized = message([
  [1, 'reason', enumeration([['REASON_UNSPECIFIED'], ['EXTERNAL_SERVICE']])],
]);

export const responseFlags = message(
  flagTable.flatMap(({ als }) =>
    als === undefined
      ? []
      : [[als.number, als.name, als.number === 13 ? unauthorized : 'bool'] as const],
  ),
);

function certificate(side: 'local' | 'peer'): Message {
  return message(
    [
      [
        1,
        'subject_alt_name',
        message([
          [1, 'uri', 'string', `connection.uri_san_${side}_certificate`],
          [2, 'dns', 'string', `connection.dns_san_${side}_certificate`],
        ]),
      ],
      [2, 'subject', 'string', `connection.subject_${side}_certificate`],
      [3, 'issuer', 'string', side === 'peer' ? 'connection.issuer_peer_certificate' : ''],
    ],
    ['subject_alt_name'],
  );
}

const tls = message([
  [1, 'tls_version', tlsVersion, 'connection.tls_version'],
  [2, 'tls_cipher_suite', 'uint_value', 'connection.tls_cipher'],
  [3, 'tls_sni_hostname', 'string', 'connection.requested_server_name'],
  [4, 'local_certificate_properties', certificate('local')],
  [5, 'peer_certificate_properties', certificate('peer')],
  [6, 'tls_session_id', 'string', 'connection.tls_session_id'],
  [7, 'ja3_fingerprint', 'string', 'connection.ja3'],
]);

// biome-ignore format: a table reads best with one row a line.
const common = message([
  [1, 'sample_rate', 'double', 'access_log.sample_rate'],
  [2, 'downstream_remote_address', address, 'source.address'],
  [3, 'downstream_local_address', address, 'destination.address'],
  [4, 'tls_properties', tls],
  [5, 'start_time', 'timestamp', 'request.time'],
  [6, 'time_to_last_rx_byte', 'duration', 'request.rx_duration'],
  [7, 'time_to_first_upstream_tx_byte', 'duration', 'request.first_tx_duration'],
  [8, 'time_to_last_upstream_tx_byte', 'duration', 'request.tx_duration'],
  [9, 'time_to_first_upstream_rx_byte', 'duration', 'response.duration'],
  [10, 'time_to_last_upstream_rx_byte', 'duration', 'response.rx_duration'],
  [11, 'time_to_first_downstream_tx_byte', 'duration', 'response.first_tx_duration'],
  [12, 'time_to_last_downstream_tx_byte', 'duration', 'response.last_tx_duration'],
  [13, 'upstream_remote_address', address, 'upstream.address'],
  [14, 'upstream_local_address', address, 'upstream.local_address'],
  [15, 'upstream_cluster', 'string', 'xds.cluster_name'],
  [16, 'response_flags', responseFlags, 'response.flags'],
  [17, 'metadata', metadata],
  [18, 'upstream_transport_failure_reason', 'string', 'upstream.transport_failure_reason'],
  [19, 'route_name', 'string', 'xds.route_name'],
  [20, 'downstream_direct_remote_address', address, 'source.direct_address'],
  [21, 'filter_state_objects', 'anys', 'filter_state.'],
  [22, 'custom_tags', 'strings', 'custom_tags.'],
  [23, 'duration', 'duration', 'request.duration'],
  [24, 'upstream_request_attempt_count', 'uint', 'upstream.request_attempt_count'],
  [25, 'connection_termination_details', 'string', 'connection.termination_details'],
  [26, 'stream_id', 'string', 'stream.id'],
  [27, 'intermediate_log_entry', 'bool', 'access_log.intermediate'],
  [28, 'downstream_transport_failure_reason', 'string', 'connection.transport_failure_reason'],
  [29, 'downstream_wire_bytes_sent', 'uint', 'downstream.wire_bytes_sent'],
  [30, 'downstream_wire_bytes_received', 'uint', 'downstream.wire_bytes_received'],
  [31, 'upstream_wire_bytes_sent', 'uint', 'upstream.wire_bytes_sent'],
  [32, 'upstream_wire_bytes_received', 'uint', 'upstream.wire_bytes_received'],
  [33, 'access_log_type', logType, 'access_log.type'],
]);

// biome-ignore format: a table reads best with one row a line.
const request = message([
  [1, 'request_method', method, 'request.method'],
  [2, 'scheme', 'string', 'request.scheme'],
  [3, 'authority', 'string', 'request.host'],
  [4, 'port', 'uint_value', 'request.port'],
  [5, 'path', 'string', 'request.path'],
  [6, 'user_agent', 'string', 'request.useragent'],
  [7, 'referer', 'string', 'request.referer'],
  [8, 'forwarded_for', 'string', 'request.headers.x-forwarded-for'],
  [9, 'request_id', 'string', 'request.id'],
  [10, 'original_path', 'string', 'request.headers.x-envoy-original-path'],
  [11, 'request_headers_bytes', 'uint', 'request.headers_size'],
  [12, 'request_body_bytes', 'uint', 'request.size'],
  [13, 'request_headers', 'strings', 'request.headers.'],
  [14, 'upstream_header_bytes_sent', 'uint', 'upstream.header_bytes_sent'],
  [15, 'downstream_header_bytes_received', 'uint', 'downstream.header_bytes_received'],
]);

// biome-ignore format: a table reads best with one row a line.
const response = message([
  [1, 'response_code', 'uint_value', 'response.code'],
  [2, 'response_headers_bytes', 'uint', 'response.headers_size'],
  [3, 'response_body_bytes', 'uint', 'response.size'],
  [4, 'response_headers', 'strings', 'response.headers.'],
  [5, 'response_trailers', 'strings', 'response.trailers.'],
  [6, 'response_code_details', 'string', 'response.code_details'],
  [7, 'upstream_header_bytes_received', 'uint', 'upstream.header_bytes_received'],
  [8, 'downstream_header_bytes_sent', 'uint', 'downstream.header_bytes_sent'],
]);

const connection = message([
  [1, 'received_bytes', 'uint', 'request.size'],
  [2, 'sent_bytes', 'uint', 'response.size'],
]);

export const httpEntry = message([
  [1, 'common_properties', common],
  [2, 'protocol_version', protocol, 'request.protocol'],
  [3, 'request', request],
  [4, 'response', response],
]);

export const tcpEntry = message([
  [1, 'common_properties', common],
  [2, 'connection_properties', connection],
]);

const locality = message([
  [1, 'region', 'string'],
  [2, 'zone', 'string'],
  [3, 'sub_zone', 'string'],
]);

const buildVersion = message([
  [
    1,
    'version',
    message([
      [1, 'major_number', 'uint'],
      [2, 'minor_number', 'uint'],
      [3, 'patch', 'uint'],
    ]),
  ],
  [2, 'metadata', 'struct'],
]);

const node = message([
  [1, 'id', 'string'],
  [2, 'cluster', 'string'],
  [3, 'metadata', 'struct'],
  [4, 'locality', locality],
  [5, 'build_version', 'string'],
  [6, 'user_agent_name', 'string'],
  [7, 'user_agent_version', 'string'],
  [8, 'user_agent_build_version', buildVersion],
]);

export const streamMessage = message([
  [
    1,
    'identifier',
    message([
      [1, 'node', node],
      [2, 'log_name', 'string'],
    ]),
  ],
  [2, 'http_logs', message([[1, 'log_entry', httpEntry]], ['log_entry'])],
  [3, 'tcp_logs', message([[1, 'log_entry', tcpEntry]], ['log_entry'])],
]);
