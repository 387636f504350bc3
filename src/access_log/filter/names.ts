// What a dotted name in a filter means: our vocabulary (fields.ts), Envoy's CEL attributes as they are (envoy.md
// section 3), names of OpenTelemetry's conventions, and open maps (headers, metadata, attributes, resource).

import { type FieldType, fieldOf, fields, openFields } from '../fields.ts';
import { headerField } from '../header_fields.ts';
import type { Cut, Source } from './field_reader.ts';

/** `flags` and `status` (gRPC) are numbers or names, as their use asks. */
export type FieldKind =
  | 'bool'
  | 'int'
  | 'double'
  | 'string'
  | 'duration'
  | 'time'
  | 'dyn'
  | 'flags'
  | 'status';

/** Values that no single place holds; `compile.ts` derives them. */
export type Derived = 'mtls' | 'sum' | 'direction';

export type Named = {
  readonly kind: FieldKind;
  readonly sources: readonly Source[];
  /** Envoy has the empty text where others have nothing. */
  readonly emptyWhenAbsent?: boolean;
  readonly derived?: Derived;
};

const kindOfType: Readonly<Record<FieldType, FieldKind>> = {
  string: 'string',
  address: 'string',
  int: 'int',
  bytes: 'int',
  double: 'double',
  duration: 'duration',
  time: 'time',
  bool: 'bool',
  flags: 'flags',
  list: 'dyn',
  json: 'dyn',
};

const from = (kind: FieldKind, ...names: string[]): Named => ({
  kind,
  sources: names.map((name) => ({ name })),
});
const cut = (kind: FieldKind, name: string, of: string, part: Cut): Named => ({
  kind,
  sources: name === of ? [{ name, cut: part }] : [{ name }, { name: of, cut: part }],
});
const emptyWhenAbsent = (name: string): Named => ({
  ...from('string', name),
  emptyWhenAbsent: true,
});

/** Lists of names are joined by commas in logs; Envoy's attribute is the first. */
const firstOfSeveral = [
  'connection.uri_san_peer_certificate',
  'connection.uri_san_local_certificate',
  'connection.dns_san_peer_certificate',
  'connection.dns_san_local_certificate',
  'upstream.uri_san_peer_certificate',
  'upstream.uri_san_local_certificate',
  'upstream.dns_san_peer_certificate',
  'upstream.dns_san_local_certificate',
];

const special: Readonly<Record<string, Named>> = {
  duration: from('duration', 'request.duration'),
  'request.url_path': cut('string', 'request.url_path', 'request.path', 'path'),
  'request.query': cut('string', 'request.query', 'request.path', 'query'),
  'request.total_size': { ...from('int', 'request.size', 'request.headers_size'), derived: 'sum' },
  'response.total_size': {
    ...from('int', 'response.size', 'response.headers_size', 'response.trailers_size'),
    derived: 'sum',
  },
  'response.backend_latency': from('duration', 'response.backend_latency'),
  'response.grpc_status': from(
    'status',
    'response.grpc_status',
    'response.trailers.grpc-status',
    'response.headers.grpc-status',
  ),
  'source.port': cut('int', 'source.port', 'source.address', 'port'),
  'destination.port': cut('int', 'destination.port', 'destination.address', 'port'),
  'upstream.port': cut('int', 'upstream.port', 'upstream.address', 'port'),
  'connection.mtls': {
    ...from(
      'bool',
      'connection.mtls',
      'connection.uri_san_peer_certificate',
      'connection.subject_peer_certificate',
      'connection.dns_san_peer_certificate',
      'connection.sha256_peer_certificate_digest',
    ),
    derived: 'mtls',
  },
  'connection.requested_server_name': emptyWhenAbsent('connection.requested_server_name'),
  'connection.transport_failure_reason': emptyWhenAbsent('connection.transport_failure_reason'),
  'upstream.transport_failure_reason': emptyWhenAbsent('upstream.transport_failure_reason'),
  'upstream.num_endpoints': from('int', 'upstream.num_endpoints'),
  'upstream.locality': from('dyn', 'upstream.locality'),
  'upstream.sha256_peer_certificate_digest': from(
    'string',
    'upstream.sha256_peer_certificate_digest',
  ),
  'xds.node.id': from('string', 'xds.node.id', 'envoy.node.id', 'node.id', 'node_name'),
  'xds.node.cluster': from(
    'string',
    'xds.node.cluster',
    'envoy.node.cluster',
    'node.cluster',
    'cluster_name',
  ),
  'xds.node.metadata': from('dyn', 'xds.node.metadata', 'envoy.node.metadata', 'node.metadata'),
  'xds.node.locality.zone': from('string', 'xds.node.locality.zone', 'envoy.node.locality.zone'),
  'xds.node.locality.region': from(
    'string',
    'xds.node.locality.region',
    'envoy.node.locality.region',
  ),
  'xds.virtual_host_name': from('string', 'xds.virtual_host_name'),
  'xds.listener_direction': { ...from('int', 'mesh.direction'), derived: 'direction' },
  'xds.upstream_host_locality_metadata': from('dyn', 'xds.upstream_host_locality_metadata'),
  body: { kind: 'string', sources: [{ name: 'body', record: 'body' }] },
  severity: { kind: 'int', sources: [{ name: 'severity', record: 'severity' }] },
  ...Object.fromEntries(firstOfSeveral.map((name) => [name, cut('string', name, name, 'first')])),
};

const known = new Map<string, Named>(
  [...fields.values()].flatMap((field): [string, Named][] => {
    const kind = kindOfType[field.type];
    const own: [string, Named] = [field.name, from(kind, field.name)];
    // After the semconv processor the same value goes by its conventional name.
    return field.semconv === undefined
      ? [own]
      : [[field.semconv, from(kind === 'flags' ? 'dyn' : kind, field.semconv)], own];
  }),
);
for (const [name, named] of Object.entries(special)) known.set(name, named);

type OpenMap = { readonly prefix: string; readonly kind: FieldKind };

/** Maps whose keys are free: the open fields of the vocabulary, Envoy's other names of them, and everything at all. */
const openMaps: Readonly<Record<string, OpenMap>> = {
  ...Object.fromEntries(
    openFields
      .filter((prefix) => !known.has(prefix.slice(0, -1)))
      .map((prefix) => [
        prefix.slice(0, -1),
        { prefix, kind: kindOfType[fieldOf(`${prefix}x`)?.type ?? 'json'] },
      ]),
  ),
  'metadata.filter_metadata': { prefix: 'metadata.', kind: 'dyn' },
  upstream_filter_state: { prefix: 'upstream.filter_state.', kind: 'dyn' },
  attributes: { prefix: '', kind: 'dyn' },
  resource: { prefix: '', kind: 'dyn' },
};

/** First parts of attribute names that receivers and other tools set: not in the vocabulary, and not mistakes. */
const openRoots = new Set(
  'log k8s net service host container process cloud sampling dedup kuma envoy'.split(' '),
);

/** The map that a name is, if it is one. */
export function openMap(name: string): OpenMap | undefined {
  return Object.hasOwn(openMaps, name) ? openMaps[name] : undefined;
}

/** An entry of a map. Header names have no case. */
export function entryOf(map: string, key: string): Named {
  const { prefix, kind } = openMaps[map]!;
  if (map === 'attributes') return known.get(key) ?? from('dyn', key);
  if (!/\.(?:headers|trailers)\.$/.test(prefix)) return from(kind, prefix + key);
  const header = headerField(prefix, key.toLowerCase());
  const plain = prefix + key.toLowerCase();
  return header === plain ? from(kind, plain) : from(kind, header, plain);
}

/** What a dotted name that is no entry of a map means; undefined when nothing has that name. */
export function exactName(name: string): Named | undefined {
  const found = known.get(name);
  if (found !== undefined) return found;
  const root = name.split('.', 1)[0] ?? '';
  return openRoots.has(root) && name.includes('.') ? from('dyn', name) : undefined;
}

/** Every name that can be meant by a wrong one. */
export const suggestions: readonly string[] = [...known.keys(), ...Object.keys(openMaps)];

/** What a name of the vocabulary means, entries of maps included (`request.headers.x-foo`). */
export function named(name: string): Named | undefined {
  for (const map of Object.keys(openMaps)) {
    const { prefix } = openMaps[map]!;
    if (prefix !== '' && name.startsWith(prefix) && name.length > prefix.length) {
      return entryOf(map, name.slice(prefix.length));
    }
  }
  return exactName(name);
}

/** Whether some name begins with `name` and a dot: then it is half of one, not a mistake. */
export function isPartOfName(name: string): boolean {
  if (openRoots.has(name)) return true;
  for (const other of suggestions) if (other.startsWith(`${name}.`)) return true;
  return false;
}
