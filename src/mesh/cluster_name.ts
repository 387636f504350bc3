// What the name of an Envoy cluster says. Istio writes direction|port|subset|host, Kuma the service's tag or resource,
// and both have names for traffic that goes to no service.

import { type HostName, parseHost, portOf } from './host_name.ts';

export type Direction = 'inbound' | 'outbound';

/**
 * What a cluster is for. `service`: some service of the mesh or beyond; `passthrough`: wherever the client wanted to go;
 * `blackhole`: nowhere, it is refused; `direct`: one address, asked for by address (Kuma's direct access); `own`: the
 * proxy's business with itself and its control plane; `unknown`: the name says nothing.
 */
export type ClusterPurpose = 'service' | 'passthrough' | 'blackhole' | 'direct' | 'own' | 'unknown';

export type ClusterName = {
  readonly mesh: 'istio' | 'kuma' | undefined;
  readonly purpose: ClusterPurpose;
  readonly direction: Direction | undefined;
  readonly service: string | undefined;
  readonly namespace: string | undefined;
  /** Full host name; only Istio's names carry one. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly subset: string | undefined;
  /** Kuma's resource names say where the service lives. */
  readonly zone: string | undefined;
  readonly meshName: string | undefined;
};

const nothing: ClusterName = {
  mesh: undefined,
  purpose: 'unknown',
  direction: undefined,
  service: undefined,
  namespace: undefined,
  host: undefined,
  port: undefined,
  subset: undefined,
  zone: undefined,
  meshName: undefined,
};

/** Names beyond this length were made by nobody's control plane. */
const nameBytesMax = 1024;

const istioDirections: Readonly<Record<string, Direction>> = {
  inbound: 'inbound',
  'inbound-vip': 'inbound',
  'inbound-pod': 'inbound',
  outbound: 'outbound',
};

const istioPassthrough = { ...nothing, mesh: 'istio', purpose: 'passthrough' } as const;
const kumaPassthrough = {
  ...nothing,
  mesh: 'kuma',
  purpose: 'passthrough',
  service: 'external',
} as const;

const special: ReadonlyMap<string, ClusterName> = new Map<string, ClusterName>([
  ['PassthroughCluster', { ...istioPassthrough, direction: 'outbound' }],
  ['InboundPassthroughCluster', { ...istioPassthrough, direction: 'inbound' }],
  ['InboundPassthroughClusterIpv4', { ...istioPassthrough, direction: 'inbound' }],
  ['InboundPassthroughClusterIpv6', { ...istioPassthrough, direction: 'inbound' }],
  ['BlackHoleCluster', { ...nothing, mesh: 'istio', purpose: 'blackhole', direction: 'outbound' }],
  ['outbound:passthrough:ipv4', { ...kumaPassthrough, direction: 'outbound' }],
  ['outbound:passthrough:ipv6', { ...kumaPassthrough, direction: 'outbound' }],
  ['inbound:passthrough:ipv4', { ...nothing, ...kumaInbound() }],
  ['inbound:passthrough:ipv6', { ...nothing, ...kumaInbound() }],
  ['direct_access', { ...nothing, mesh: 'kuma', purpose: 'direct', direction: 'outbound' }],
]);

/** Clusters that a proxy keeps for itself: control plane, secrets, metrics, traces, admin. */
const ownNames = new Set([
  'agent',
  'prometheus_stats',
  'sds-grpc',
  'xds-grpc',
  'zipkin',
  'ads_cluster',
  'access_log_sink',
  'envoy_accesslog_service',
  'connect_originate',
  'main_internal',
  'encap',
]);
const ownPrefixes = ['kuma:', '_kuma:', 'system_', 'tracing:', 'meshaccesslog:', 'meshtrace:'];

/** Reads any cluster name. Total: a name that follows no grammar says nothing but is no error. */
export function parseClusterName(name: string): ClusterName {
  if (name === '' || name === '-' || name.length > nameBytesMax) return nothing;
  const known = special.get(name);
  if (known !== undefined) return known;
  if (ownNames.has(name) || ownPrefixes.some((prefix) => name.startsWith(prefix))) {
    return { ...nothing, purpose: 'own' };
  }
  return istioName(name) ?? istioSni(name) ?? kumaName(name) ?? nothing;
}

/** A requested server name: Istio's `outbound_.8000_._.host`, Kuma's `backend{mesh=default}`, or plainly a host. */
export function parseServerName(name: string): ClusterName {
  if (name.length > nameBytesMax) return nothing;
  const istio = istioSni(name);
  if (istio !== undefined) return istio;
  const kuma = kumaSni(name);
  if (kuma !== undefined) return kuma;
  const host = parseHost(name);
  if (host.kind === 'none' || host.kind === 'ip') return nothing;
  return ofHost(host, { purpose: 'service' });
}

function ofHost(host: HostName, rest: Partial<ClusterName>): ClusterName {
  return {
    ...nothing,
    service: host.service,
    namespace: host.namespace,
    host: host.host === '' ? undefined : host.host,
    port: host.port,
    ...rest,
  };
}

/** `outbound|80|v2|reviews.bookinfo.svc.cluster.local`, `inbound|9080||`. */
function istioName(name: string): ClusterName | undefined {
  const parts = name.split('|', 5);
  const direction = istioDirections[parts[0] ?? ''];
  if (parts.length !== 4 || direction === undefined) return undefined;
  return istioParts(direction, parts[1] ?? '', parts[2] ?? '', parts[3] ?? '');
}

/** `outbound_.80_.v2_.reviews.bookinfo.svc.cluster.local`: the same four parts, joined so that TLS takes them as a name. */
function istioSni(name: string): ClusterName | undefined {
  const match = /^(outbound|inbound)_\.(\d{1,5})_\.([^|/\s]*?)_\.([^|/\s]*)$/.exec(name);
  if (match === null) return undefined;
  const direction = istioDirections[match[1] ?? ''];
  if (direction === undefined) return undefined;
  return istioParts(direction, match[2] ?? '', match[3] ?? '', match[4] ?? '');
}

function istioParts(
  direction: Direction,
  portText: string,
  subset: string,
  hostText: string,
): ClusterName {
  const host = parseHost(hostText);
  const isService = host.kind === 'service' || host.kind === 'short' || host.kind === 'dotted';
  return ofHost(host, {
    mesh: 'istio',
    purpose: 'service',
    direction,
    service: isService ? host.service : undefined,
    port: portOf(portText),
    // Until Istio 1.7 the third part of an inbound cluster is the name of the port.
    subset: subset === '' || subset === '_' || direction === 'inbound' ? undefined : subset,
  });
}

function kumaInbound(): Partial<ClusterName> {
  return { mesh: 'kuma', purpose: 'passthrough', direction: 'inbound' };
}

/** Kuma adds a hash of 16 hex digits to the clusters of one service that differ by tags. */
const tagHash = /-[0-9a-f]{16}$/;

function kumaName(full: string): ClusterName | undefined {
  const name = full.replace(tagHash, '');
  const own = /^(?:localhost:(\d{1,5})|inbound:(?:\[[^\]]*\]|[^:[\]]*):(\d{1,5}))$/.exec(name);
  if (own !== null) return kumaOwn(own[1] ?? own[2] ?? '');
  if (name.startsWith('self_inbound_')) return kumaOwn(name.slice(name.lastIndexOf('_') + 1));
  if (name.startsWith('direct_access_')) {
    return { ...kumaService(name, undefined, undefined), purpose: 'direct' };
  }
  if (name.startsWith('meshpassthrough_')) return { ...kumaPassthrough, direction: 'outbound' };
  if (name.startsWith('kri_')) return kumaIdentifier(name);
  return kumaResource(name) ?? kumaTag(name) ?? kumaPlain(name);
}

function kumaOwn(port: string): ClusterName {
  return {
    ...nothing,
    mesh: 'kuma',
    purpose: 'service',
    direction: 'inbound',
    port: portOf(port),
  };
}

function kumaService(
  service: string,
  namespace: string | undefined,
  port: number | undefined,
): ClusterName {
  return {
    ...nothing,
    mesh: 'kuma',
    purpose: 'service',
    direction: 'outbound',
    service,
    namespace,
    port,
  };
}

/** `default_backend_kuma-demo_east_msvc_8080`: mesh, name, namespace, zone, kind, port. */
function kumaResource(name: string): ClusterName | undefined {
  const match = /^(.+)_(msvc|extsvc|mzsvc)_(\d{1,5})$/.exec(name);
  const parts = match?.[1]?.split('_');
  if (match === null || parts === undefined || parts.length < 4) return undefined;
  const service = parts.slice(1, -2).join('_');
  return {
    ...kumaService(service, parts.at(-2) || undefined, portOf(match[3] ?? '')),
    zone: parts.at(-1) || undefined,
    meshName: parts[0] || undefined,
  };
}

/** `kri_msvc_default_east_kuma-demo_backend_http`: kind, mesh, zone, namespace, name, section (a port or its name). */
function kumaIdentifier(name: string): ClusterName | undefined {
  const parts = name.split('_', 8);
  if (parts.length !== 7 || !['msvc', 'extsvc', 'mzsvc'].includes(parts[1] ?? '')) return undefined;
  const [, , mesh, zone, namespace, service = '', section = ''] = parts;
  return {
    ...kumaService(service, namespace || undefined, portOf(section)),
    zone: zone || undefined,
    meshName: mesh || undefined,
  };
}

/** `backend_kuma-demo_svc_8080`, the kuma.io/service tag that Kubernetes services get: it is the service's name. */
function kumaTag(name: string): ClusterName | undefined {
  const match = /^([^_|:/]+)_([^_|:/]+)_svc(?:_(\d{1,5}))?$/.exec(name);
  if (match === null) return undefined;
  return kumaService(name, match[2], portOf(match[3] ?? ''));
}

/** A kuma.io/service tag that the user chose, or any cluster of a plain Envoy: at least a name for the destination. */
function kumaPlain(name: string): ClusterName | undefined {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) return undefined;
  return { ...nothing, purpose: 'service', service: name };
}

/** `backend_kuma-demo_svc_8080{mesh=default}`, or `hash.name.port.mesh.ms` for resources. */
function kumaSni(name: string): ClusterName | undefined {
  const tags = /^([^{}]+)\{([^{}]*)\}$/.exec(name);
  if (tags !== null) {
    const service = kumaTag(tags[1] ?? '') ?? kumaService(tags[1] ?? '', undefined, undefined);
    const mesh = /(?:^|,)mesh=([^,]+)/.exec(tags[2] ?? '')?.[1];
    return { ...service, meshName: mesh };
  }
  const resource = /^[0-9a-f]+\.([^.]+)\.(\d{1,5})\.([^.]+)\.(?:ms|mes|mzms)$/.exec(name);
  if (resource === null) return undefined;
  return {
    ...kumaService(resource[1] ?? '', undefined, portOf(resource[2] ?? '')),
    meshName: resource[3],
  };
}
