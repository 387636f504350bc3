// What a proxy tells about its workload: node metadata (NAME, OWNER, LABELS ...) and the peer metadata that proxies hand
// each other (`downstream_peer`, `upstream_peer`).

import { canonicalService, type Labels, nobody, type Party } from './party.ts';
import { isStruct, type Struct } from './struct.ts';
import { workloadOfPod } from './workload_name.ts';

/** Istio's words for "nobody said". */
const placeholders = new Set(['', 'unknown', 'Kubernetes', 'cluster.local']);

/** A text that says something; Istio's placeholders count as absent. */
function textAt(struct: Struct, ...keys: readonly string[]): string | undefined {
  for (const key of keys) {
    const value = struct[key];
    if (typeof value === 'string' && !placeholders.has(value)) return value;
  }
  return undefined;
}

/** The labels in a map; other values than text are left out. */
export function labelsOf(value: unknown): Labels | undefined {
  if (!isStruct(value)) return undefined;
  const labels: Record<string, string> = {};
  for (const [key, label] of Object.entries(value).slice(0, 64)) {
    if (typeof label === 'string') labels[key] = label;
  }
  return labels;
}

/** `kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/reviews-v1`: the last part is the workload. */
export function workloadOfOwner(owner: string | undefined): string | undefined {
  if (owner === undefined || !owner.startsWith('kubernetes://')) return undefined;
  return owner.slice(owner.lastIndexOf('/') + 1) || undefined;
}

/** Node metadata of an Istio proxy, or peer metadata in the same upper-case words. */
export function partyOfNodeMetadata(metadata: Struct): Party {
  const pod = textAt(metadata, 'NAME');
  const workload =
    textAt(metadata, 'WORKLOAD_NAME') ??
    workloadOfOwner(textAt(metadata, 'OWNER')) ??
    (pod === undefined ? undefined : workloadOfPod(pod));
  const labels = labelsOf(metadata['LABELS']);
  const namespace = textAt(metadata, 'NAMESPACE', 'CONFIG_NAMESPACE');
  return {
    service: textAt(metadata, 'CANONICAL_SERVICE') ?? canonicalService(labels, workload),
    workload,
    namespace,
    cluster: textAt(metadata, 'GLOO_MESH_CLUSTER_NAME', 'CLUSTER_ID'),
    identity: identityOf(metadata, namespace),
    zone: undefined,
    mesh: textAt(metadata, 'MESH_ID'),
  };
}

/** The SPIFFE id that a proxy states, or that follows from its service account. */
function identityOf(metadata: Struct, namespace: string | undefined): string | undefined {
  const stated = textAt(metadata, 'IDENTITY');
  if (stated !== undefined) return stated.includes('://') ? stated : `spiffe://${stated}`;
  const account = textAt(metadata, 'SERVICE_ACCOUNT');
  if (account === undefined || namespace === undefined) return undefined;
  const domain = textAt(metadata, 'TRUST_DOMAIN') ?? 'cluster.local';
  return `spiffe://${domain}/ns/${namespace}/sa/${account}`;
}

/** Peer metadata: the struct that Istio puts into filter state, in lower-case or node metadata's words. */
export function partyOfPeer(value: unknown): Party {
  if (!isStruct(value)) return nobody;
  // Proto-JSON wraps an Any's struct into `value`, generic decoders write a struct as `fields`.
  const wrapped = isStruct(value['value']) ? value['value'] : value;
  const fields = wrapped['fields'];
  return partyOfStruct(isStruct(fields) ? plainStruct(fields) : wrapped);
}

function partyOfStruct(value: Struct): Party {
  if (textAt(value, 'NAMESPACE', 'NAME', 'WORKLOAD_NAME', 'OWNER') !== undefined) {
    return partyOfNodeMetadata(value);
  }
  const pod = textAt(value, 'name');
  const workload = textAt(value, 'workload') ?? (pod && workloadOfPod(pod));
  const labels = labelsOf(value['labels']);
  return {
    service: textAt(value, 'service') ?? canonicalService(labels, textAt(value, 'app') ?? workload),
    workload,
    namespace: textAt(value, 'namespace'),
    cluster: textAt(value, 'cluster'),
    identity: textAt(value, 'identity'),
    zone: undefined,
    mesh: undefined,
  };
}

/** A google.protobuf.Struct as generic proto decoders show it, made plain one level deep. */
function plainStruct(fields: Struct): Struct {
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields).slice(0, 64)) {
    plain[key] = isStruct(value) ? (value['stringValue'] ?? value['structValue'] ?? value) : value;
  }
  return plain;
}
