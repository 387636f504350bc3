// The proxy that wrote the records, from the facts of its stream: ALS node, OTLP resource, pod of a log file.

import type { Attributes } from '../pipeline/record.ts';
import { type NodeId, type ProxyRole, parseKumaNodeId, parseNodeId } from './node_id.ts';
import { canonicalService, type Labels, nobody, type Party } from './party.ts';
import { isStruct } from './struct.ts';
import { labelsOf, partyOfNodeMetadata } from './workload_metadata.ts';
import { workloadOfPod } from './workload_name.ts';

export type Self = Party & {
  readonly role: ProxyRole | undefined;
  readonly ip: string | undefined;
  readonly pod: string | undefined;
  /** Istio's MESH_ID, which mostly is a default that nobody chose: the configuration goes before it. */
  readonly meshId: string | undefined;
  readonly rules: 'istio' | 'kuma' | undefined;
  /** What said so: the node of a stream, or what is known of the log file's pod. */
  readonly evidence: 'node' | 'resource' | undefined;
};

export const unknownSelf: Self = {
  ...nobody,
  role: undefined,
  ip: undefined,
  pod: undefined,
  meshId: undefined,
  rules: undefined,
  evidence: undefined,
};

/** Names under which receivers and Envoy's own OTLP labels carry the node's id, cluster and metadata. */
const idKeys = ['envoy.node.id', 'node.id', 'node_name'];
const clusterKeys = ['envoy.node.cluster', 'node.cluster', 'cluster_name'];
const metadataKeys = ['envoy.node.metadata', 'node.metadata'];
const zoneKeys = ['kuma.zone', 'envoy.node.locality.zone', 'cloud.availability_zone', 'zone_name'];
const workloadKeys = [
  'k8s.deployment.name',
  'k8s.statefulset.name',
  'k8s.daemonset.name',
  'k8s.cronjob.name',
  'k8s.job.name',
  'k8s.replicaset.name',
  'k8s.workload.name',
];
const labelPrefix = 'k8s.pod.label.';

/** Gateways that Istio installs under their own names; others say so in their node id. */
const gatewayPod = /^istio-(?:ingress|egress|eastwest)gateway\b/;

/** Who wrote the records of a stream. Facts that are missing stay undefined. */
export function selfOf(resource: Attributes): Self {
  const node = nodeOf(resource);
  const metadata = structAt(resource, metadataKeys);
  const told = metadata === undefined ? nobody : partyOfNodeMetadata(metadata);
  const pod = textAt(resource, ['k8s.pod.name']) ?? node.pod;
  const workload =
    told.workload ??
    workloadAt(resource) ??
    (node.mesh === 'kuma' || pod === undefined ? undefined : workloadOfPod(pod));
  const labels = labelsOf(metadata?.['LABELS']) ?? labelsAt(resource);
  const nodeCluster = textAt(resource, clusterKeys);
  const isKuma = node.mesh === 'kuma' || textAt(resource, ['kuma.mesh']) !== undefined;
  return {
    service:
      (isKuma ? nodeCluster : undefined) ?? told.service ?? canonicalService(labels, workload),
    workload: workload ?? (isKuma && pod !== undefined ? workloadOfPod(pod) : undefined),
    namespace: told.namespace ?? textAt(resource, ['k8s.namespace.name']) ?? node.namespace,
    cluster: told.cluster ?? textAt(resource, ['k8s.cluster.name']),
    identity: told.identity,
    zone: textAt(resource, zoneKeys),
    mesh: textAt(resource, ['kuma.mesh', 'mesh.name']) ?? node.meshName,
    meshId: told.mesh,
    role: isZoneProxy(metadata) ? 'zone_proxy' : (node.role ?? roleOfPod(pod, labels)),
    ip: node.ip ?? textAt(resource, ['k8s.pod.ip']),
    pod,
    rules: isKuma ? 'kuma' : node.mesh,
    evidence:
      node.mesh !== undefined || metadata !== undefined
        ? 'node'
        : workload === undefined
          ? undefined
          : 'resource',
  };
}

function nodeOf(resource: Attributes): NodeId {
  const id = textAt(resource, idKeys) ?? '';
  const istio = parseNodeId(id);
  return istio.mesh === undefined ? parseKumaNodeId(id) : istio;
}

function roleOfPod(pod: string | undefined, labels: Labels | undefined): ProxyRole | undefined {
  if (labels?.['istio']?.endsWith('gateway')) return 'gateway';
  if (labels?.['gateway.istio.io/managed']?.includes('mesh')) return 'waypoint';
  if (labels?.['gateway.networking.k8s.io/gateway-name'] !== undefined) return 'gateway';
  return pod !== undefined && gatewayPod.test(pod) ? 'gateway' : undefined;
}

/** Kuma's ingress and egress of a zone: they pass traffic on and know neither end. */
function isZoneProxy(metadata: { readonly [key: string]: unknown } | undefined): boolean {
  const type = metadata?.['dataplane.proxyType'];
  return type === 'ingress' || type === 'egress';
}

function textAt(resource: Attributes, keys: readonly string[]): string | undefined {
  for (const key of keys) {
    const value = resource[key];
    if (typeof value === 'string' && value !== '' && value !== '-') return value;
  }
  return undefined;
}

function structAt(resource: Attributes, keys: readonly string[]) {
  for (const key of keys) {
    const value = resource[key];
    if (isStruct(value)) return value;
  }
  return undefined;
}

function workloadAt(resource: Attributes): string | undefined {
  const name = textAt(resource, workloadKeys);
  return name !== undefined && name === textAt(resource, ['k8s.replicaset.name'])
    ? workloadOfPod(`${name}-bbbbb`)
    : name;
}

function labelsAt(resource: Attributes): Labels | undefined {
  const labels: Record<string, string> = {};
  let found = false;
  for (const key in resource) {
    const value = resource[key];
    if (!key.startsWith(labelPrefix) || typeof value !== 'string') continue;
    labels[key.slice(labelPrefix.length)] = value;
    found = true;
  }
  return found ? labels : undefined;
}
