// Who was called.

import { type Call, partyRules } from './call.ts';
import type { ClusterFacts, HostFacts } from './call_facts.ts';
import { NO_NAME } from './names.ts';
import { type Scene, take, takeIdentity } from './scene.ts';

const rules = partyRules;

export function nameDestination(scene: Scene, call: Call): void {
  if (scene.cluster.name.purpose === 'own') return;
  if (scene.saidDestination !== undefined) takeCluster(call, scene.saidDestination, rules.record);
  if (scene.saidHost !== undefined) takeHost(scene, call, scene.saidHost, rules.record);
  takeCluster(call, scene.cluster, rules.cluster_name);
  if (call.direction === 'inbound') inbound(scene, call);
  else outbound(scene, call);
  if (scene.self.self.role !== 'zone_proxy' || call.destination.service !== NO_NAME) return;
  call.destination.service = scene.options.names.code('unknown');
  call.destinationRule = rules.kuma;
}

/** On the way out the cluster names the service, and the peer or the endpoint's owner the workload. */
function outbound(scene: Scene, call: Call): void {
  const { destination } = call;
  take(call, destination, scene.peer?.party, rules.peer_metadata);
  takeIdentity(call, destination, scene.identity);
  if (destination.service === NO_NAME && scene.serverName !== undefined) {
    takeCluster(call, scene.serverName, rules.server_name);
  }
  if (destination.service === NO_NAME) takeHost(scene, call, scene.host, rules.authority);
  take(call, destination, scene.destinationOwner?.party, rules.inventory);
  take(call, destination, scene.destinationSeen?.party, rules.seen_before);
  if (destination.service === NO_NAME) nameless(scene, call);
}

/** On the way in it is the proxy's own workload, under the name by which it was called. */
function inbound(scene: Scene, call: Call): void {
  const { destination } = call;
  const { self } = scene;
  if (destination.service === NO_NAME && scene.serverName !== undefined) {
    takeCluster(call, scene.serverName, rules.server_name);
  }
  const { host } = scene;
  // Names of the outside world do not say which of the mesh's services it is, so what is known of the proxy goes first.
  if (destination.service === NO_NAME && host?.name.kind !== 'dotted') {
    takeHost(scene, call, host, rules.authority);
  }
  // A waypoint stands before the workload and is not it.
  if (call.reporter === 'destination') {
    take(call, destination, self.party, rules[self.self.evidence ?? 'inventory']);
  }
  take(call, destination, scene.destinationOwner?.party, rules.inventory);
  take(call, destination, scene.destinationSeen?.party, rules.seen_before);
  if (destination.service === NO_NAME) takeHost(scene, call, host, rules.authority);
  if (call.port < 0) call.port = scene.cluster.port;
}

function takeCluster(call: Call, cluster: ClusterFacts, rule: number): void {
  take(call, call.destination, cluster.party, rule);
  if (call.host === NO_NAME) call.host = cluster.host;
  if (call.subset === NO_NAME) call.subset = cluster.subset;
  if (call.meshName === NO_NAME) call.meshName = cluster.meshName;
  // The port in an inbound cluster is the workload's; whoever names the service knows the service's.
  const isOfService = cluster.party.service !== NO_NAME || cluster.name.direction !== 'inbound';
  if (call.port < 0 && isOfService) call.port = cluster.port;
}

function takeHost(scene: Scene, call: Call, host: HostFacts | undefined, rule: number): void {
  if (host === undefined || host.name.kind === 'none' || host.name.kind === 'ip') return;
  take(call, call.destination, host.party, rule);
  if (call.host === NO_NAME) call.host = host.host;
  if (call.port < 0) call.port = host.port;
  // A short name is meant in the caller's namespace, which on the way in mostly is the workload's own.
  if (host.name.kind === 'short' && call.destination.namespace === NO_NAME) {
    call.destination.namespace = scene.self.party.namespace;
  }
}

/** Traffic that no service was found for, in the words of the mesh. */
function nameless(scene: Scene, call: Call): void {
  const { names } = scene.options;
  const { purpose } = scene.cluster.name;
  if (call.isKuma && purpose === 'direct') call.destination.service = scene.directName;
  else if (call.isKuma && call.reporter === 'gateway') call.destination.service = names.code('*');
  else if (purpose === 'passthrough') call.destination.service = names.code('PassthroughCluster');
  else if (purpose === 'blackhole') call.destination.service = names.code('BlackHoleCluster');
  else return;
  call.destinationRule = call.isKuma ? rules.kuma : rules.cluster_name;
}
