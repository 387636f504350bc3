// Pods, services and endpoint slices as claims: only what says who owns an address is kept.

import { canonicalService, nobody } from '../party.ts';
import { listAt, numberAt, type Struct, structAt, textAt } from '../struct.ts';
import { labelsOf } from '../workload_metadata.ts';
import { workloadOfPod } from '../workload_name.ts';
import type { Address, Claim } from './claim.ts';

/** Addresses of one object beyond this are not looked at. */
const addressesMax = 1000;

/** A pod that has an address and still runs. */
export function claimOfPod(pod: Struct, cluster: string | undefined): Claim | undefined {
  const metadata = structAt(pod, 'metadata');
  const spec = structAt(pod, 'spec');
  const status = structAt(pod, 'status');
  const name = textAt(metadata, 'name');
  const namespace = textAt(metadata, 'namespace');
  if (name === undefined || namespace === undefined) return undefined;
  const phase = textAt(status, 'phase');
  if (phase === 'Succeeded' || phase === 'Failed') return undefined;
  const workload = workloadOf(metadata, name);
  const service = canonicalService(labelsOf(metadata?.['labels']), workload);
  // Pods on the network of their node share its address: only their ports are theirs.
  const ports = spec?.['hostNetwork'] === true ? hostPorts(spec) : [undefined];
  const ips = podIps(status);
  return {
    kind: 'workload',
    party: { ...nobody, service, workload, namespace, cluster },
    addresses: ips.flatMap((ip) => ports.map((port) => ({ ip, port }))).slice(0, addressesMax),
    pod: name,
  };
}

/** A service that has an address of its own. */
export function claimOfService(service: Struct, cluster: string | undefined): Claim | undefined {
  const metadata = structAt(service, 'metadata');
  const spec = structAt(service, 'spec');
  const name = textAt(metadata, 'name');
  const namespace = textAt(metadata, 'namespace');
  if (name === undefined || namespace === undefined) return undefined;
  const ips = [textAt(spec, 'clusterIP'), ...listAt(spec, 'clusterIPs'), ...externalIps(service)];
  const addresses = [...new Set(ips)]
    .filter((ip) => typeof ip === 'string' && ip !== '' && ip !== 'None')
    .map((ip) => ({ ip: String(ip).toLowerCase(), port: undefined }));
  return {
    kind: 'service',
    party: { ...nobody, service: name, namespace, cluster },
    addresses: addresses.slice(0, addressesMax),
    pod: undefined,
  };
}

/** The endpoints of a slice, one claim per pod: the slice says which service leads there. */
export function claimsOfSlice(slice: Struct, cluster: string | undefined): Claim[] {
  const metadata = structAt(slice, 'metadata');
  const namespace = textAt(metadata, 'namespace');
  const service = labelsOf(metadata?.['labels'])?.['kubernetes.io/service-name'];
  if (namespace === undefined || service === undefined) return [];
  return listAt(slice, 'endpoints')
    .slice(0, addressesMax)
    .flatMap((endpoint) => {
      const target = structAt(endpoint, 'targetRef');
      const isPod = textAt(target, 'kind') === 'Pod';
      const pod = isPod ? textAt(target, 'name') : undefined;
      const addresses: Address[] = listAt(endpoint, 'addresses')
        .filter((ip) => typeof ip === 'string')
        .map((ip) => ({ ip: String(ip).toLowerCase(), port: undefined }));
      if (addresses.length === 0) return [];
      const workload = pod === undefined ? undefined : workloadOfPod(pod);
      const party = { ...nobody, service, workload, namespace, cluster };
      return [{ kind: 'endpoint' as const, party, addresses, pod }];
    });
}

/** The workload behind a pod: its controller, and behind a replica set or a job what made that. */
function workloadOf(metadata: Struct | undefined, pod: string): string {
  const owners = listAt(metadata, 'ownerReferences');
  const owner =
    owners.find((one) => structAt({ one }, 'one')?.['controller'] === true) ?? owners[0];
  const kind = textAt(owner, 'kind');
  const name = textAt(owner, 'name');
  if (name === undefined) return pod;
  if (kind === 'ReplicaSet') {
    const hash = labelsOf(metadata?.['labels'])?.['pod-template-hash'];
    if (hash !== undefined && name.endsWith(`-${hash}`)) return name.slice(0, -hash.length - 1);
    return workloadOfPod(pod);
  }
  // A cron job names its jobs by the minute.
  return kind === 'Job' ? name.replace(/-\d{8,10}$/, '') : name;
}

function podIps(status: Struct | undefined): string[] {
  const ips = [
    textAt(status, 'podIP'),
    ...listAt(status, 'podIPs').map((one) => textAt(one, 'ip')),
  ];
  return [...new Set(ips.filter((ip) => ip !== undefined).map((ip) => ip.toLowerCase()))];
}

function hostPorts(spec: Struct): number[] {
  const ports = listAt(spec, 'containers').flatMap((container) => listAt(container, 'ports'));
  return ports
    .map((port) => numberAt(port, 'hostPort') ?? numberAt(port, 'containerPort'))
    .filter((port) => port !== undefined);
}

function externalIps(service: Struct): unknown[] {
  const balancer = structAt(structAt(service, 'status'), 'loadBalancer');
  const ingress = listAt(balancer, 'ingress').map((one) => textAt(one, 'ip'));
  return [...listAt(structAt(service, 'spec'), 'externalIPs'), ...ingress];
}
