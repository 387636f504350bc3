// Any resource that says who owns an address, as claims: Kubernetes objects, Kuma's data planes, Gloo Mesh's workloads,
// Istio's workload entries, and the short form of our own.

import { canonicalService, nobody, type Party } from '../party.ts';
import { isStruct, listAt, numberAt, type Struct, structAt, textAt } from '../struct.ts';
import { labelsOf } from '../workload_metadata.ts';
import { workloadOfPod } from '../workload_name.ts';
import { type Address, type Claim, parseAddress } from './claim.ts';
import { claimOfPod, claimOfService, claimsOfSlice } from './kubernetes_objects.ts';

/** Claims, or what is wrong with the document. */
export type Read = { readonly claims: Claim[]; readonly problems: string[] };

const claimsMax = 200_000;

/** What a document of an inventory file claims: one resource, a list of them, or `workloads:`. */
export function readDocument(document: unknown): Read {
  const read: Read = { claims: [], problems: [] };
  readInto(read, document, 'document', { depth: 0, kind: undefined });
  return read;
}

function readInto(
  read: Read,
  value: unknown,
  where: string,
  { depth, kind }: { depth: number; kind: string | undefined },
): void {
  if (value === null || value === undefined || read.claims.length > claimsMax) return;
  if (depth > 4) {
    read.problems.push(`${where}: lists in lists go too deep`);
    return;
  }
  const items = Array.isArray(value) ? value : itemsOf(value);
  if (items !== undefined) {
    // The API leaves the kind out of the items of a PodList.
    const listKind = textAt(value, 'kind')?.replace(/List$/, '') || undefined;
    const inner = { depth: depth + 1, kind: listKind };
    items.forEach((item, index) => {
      readInto(read, item, `${where}[${index}]`, inner);
    });
    return;
  }
  if (!isStruct(value)) {
    read.problems.push(`${where}: expected a resource, got ${JSON.stringify(value)?.slice(0, 60)}`);
    return;
  }
  const claims = claimsOf(value, kind);
  if (typeof claims === 'string') read.problems.push(`${where}: ${claims}`);
  else read.claims.push(...claims);
}

function itemsOf(value: unknown): readonly unknown[] | undefined {
  if (!isStruct(value)) return undefined;
  for (const key of ['workloads', 'items'])
    if (Array.isArray(value[key])) return listAt(value, key);
  return undefined;
}

function claimsOf(resource: Struct, listKind: string | undefined): Claim[] | string {
  const kind = textAt(resource, 'kind') ?? textAt(resource, 'type') ?? listKind;
  switch (kind) {
    case 'Pod':
      return listOf(claimOfPod(resource, undefined));
    case 'Service':
      return listOf(claimOfService(resource, undefined));
    case 'EndpointSlice':
      return claimsOfSlice(resource, undefined);
    case 'Dataplane':
    case 'DataplaneOverview':
      return claimsOfDataplane(resource);
    case 'Workload':
      return claimsOfGlooWorkload(resource);
    case 'WorkloadEntry':
      return claimsOfWorkloadEntry(resource);
    case undefined:
      return claimsOfEntry(resource);
    default:
      return `a ${kind} does not say who owns an address`;
  }
}

const listOf = (claim: Claim | undefined): Claim[] => (claim === undefined ? [] : [claim]);

const entryKeys = [
  'service',
  'workload',
  'namespace',
  'cluster',
  'zone',
  'mesh',
  'identity',
  'ips',
  'ip',
  'pod',
];

/** `{ workload: reviews-v1, namespace: bookinfo, service: reviews, ips: [10.0.0.7, 10.0.0.8:9080] }` */
function claimsOfEntry(entry: Struct): Claim[] | string {
  const unknown = Object.keys(entry).find((key) => !entryKeys.includes(key));
  if (unknown !== undefined) return `unknown field "${unknown}"; known: ${entryKeys.join(', ')}`;
  const party: Party = {
    service: textAt(entry, 'service') ?? textAt(entry, 'workload'),
    workload: textAt(entry, 'workload'),
    namespace: textAt(entry, 'namespace'),
    cluster: textAt(entry, 'cluster'),
    identity: textAt(entry, 'identity'),
    zone: textAt(entry, 'zone'),
    mesh: textAt(entry, 'mesh'),
  };
  if (party.service === undefined) return 'expected "service" or "workload"';
  const texts = [...listAt(entry, 'ips'), entry['ip']].filter((ip) => ip !== undefined);
  const addresses: Address[] = [];
  for (const text of texts) {
    const address = typeof text === 'string' ? parseAddress(text) : undefined;
    if (address === undefined) return `expected an IP address, got ${JSON.stringify(text)}`;
    addresses.push(address);
  }
  const pod = textAt(entry, 'pod');
  const kind = addresses.length === 0 && pod === undefined ? 'name' : 'workload';
  return [{ kind, party, addresses, pod }];
}

/** Kuma's data plane, as Kubernetes or as the universal mode writes it: each inbound is a service on a port. */
function claimsOfDataplane(resource: Struct): Claim[] {
  const spec = structAt(resource, 'spec') ?? structAt(resource, 'dataplane') ?? resource;
  const networking = structAt(spec, 'networking');
  const ip = (
    textAt(networking, 'advertisedAddress') ?? textAt(networking, 'address')
  )?.toLowerCase();
  const metadata = structAt(resource, 'metadata');
  const name = textAt(metadata, 'name') ?? textAt(resource, 'name');
  if (ip === undefined || networking === undefined) return [];
  const mesh = textAt(resource, 'mesh') ?? labelsOf(metadata?.['labels'])?.['kuma.io/mesh'];
  const inbounds = listAt(networking, 'inbound');
  const gateway = structAt(networking, 'gateway');
  const tagged = gateway === undefined ? inbounds : [gateway, ...inbounds];
  const claimOf = (inbound: unknown, addresses: Address[]): Claim => {
    const tags = labelsOf(structAt(inbound, 'tags')) ?? {};
    const workload = name === undefined ? undefined : workloadOfPod(name);
    return {
      kind: 'workload',
      party: {
        service: tags['kuma.io/service'],
        workload,
        namespace: tags['k8s.kuma.io/namespace'] ?? textAt(metadata, 'namespace'),
        cluster: undefined,
        identity: undefined,
        zone: tags['kuma.io/zone'],
        mesh,
      },
      addresses,
      pod: name,
    };
  };
  // The first one names the data plane as a caller; the others are told apart by port.
  return tagged.slice(0, 100).map((inbound, index) => {
    const port = numberAt(inbound, 'port');
    const own: Address[] = port === undefined ? [] : [{ ip, port }];
    return claimOf(inbound, index === 0 ? [{ ip, port: undefined }, ...own] : own);
  });
}

/** Gloo Mesh's discovered workload: no address, but the cluster of a controller. */
function claimsOfGlooWorkload(resource: Struct): Claim[] {
  const kubernetes = structAt(structAt(resource, 'spec'), 'kubernetes');
  const controller = structAt(kubernetes, 'controller');
  const workload = textAt(controller, 'name');
  if (workload === undefined) return [];
  const party: Party = {
    ...nobody,
    service: canonicalService(labelsOf(kubernetes?.['podLabels']), workload),
    workload,
    namespace: textAt(controller, 'namespace'),
    cluster: textAt(controller, 'clusterName'),
  };
  return [{ kind: 'name', party, addresses: [], pod: undefined }];
}

/** Istio's workload outside of Kubernetes. */
function claimsOfWorkloadEntry(resource: Struct): Claim[] {
  const metadata = structAt(resource, 'metadata');
  const spec = structAt(resource, 'spec');
  const address = parseAddress(textAt(spec, 'address') ?? '');
  if (address === undefined) return [];
  const workload = textAt(metadata, 'name');
  const labels = labelsOf(spec?.['labels']) ?? labelsOf(metadata?.['labels']);
  const party: Party = {
    ...nobody,
    service: canonicalService(labels, workload),
    workload,
    namespace: textAt(metadata, 'namespace'),
  };
  return [{ kind: 'workload', party, addresses: [address], pod: undefined }];
}
