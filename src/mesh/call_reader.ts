// Who called whom: a row's cluster, addresses, server name, authority, peers and identities, put together by rules.
// What a value means is worked out once per distinct value; per row the rules only pass codes along.

import type { Batch } from '../pipeline/batch.ts';
import { ABSENT, type Column, TEXT } from '../pipeline/column.ts';
import { viewOf } from '../pipeline/span_memo.ts';
import { AddressBook, type AddressFacts } from './address_book.ts';
import { Call, type MeshRules, type PartyRule } from './call.ts';
import { CallFacts, type ClusterFacts, type HostFacts, type SelfFacts } from './call_facts.ts';
import type { Inventory } from './inventory/inventory.ts';
import { type Names, NO_NAME } from './names.ts';
import { complete, type PartyCodes } from './party.ts';
import { judge, type Reporter, type Sight } from './reporter.ts';

export type CallOptions = {
  readonly names: Names;
  readonly inventory: Inventory;
  readonly rules: MeshRules;
  /** Given by the user: every record was reported from there. */
  readonly reporter: Reporter | undefined;
};

const columnNames = {
  cluster: 'xds.cluster_name',
  source: 'source.address',
  direct: 'source.direct_address',
  local: 'destination.address',
  upstream: 'upstream.address',
  upstreamLocal: 'upstream.local_address',
  serverName: 'connection.requested_server_name',
  host: 'request.host',
  peerSan: 'connection.uri_san_peer_certificate',
  upstreamSan: 'upstream.uri_san_peer_certificate',
} as const;

/** Filter state under which Istio's proxies keep what they learnt of each other, newest spelling first. */
const downstreamPeers = ['filter_state.downstream_peer', 'filter_state.wasm.downstream_peer'];
const upstreamPeers = ['filter_state.upstream_peer', 'filter_state.wasm.upstream_peer'];

type Columns = { [key in keyof typeof columnNames]: Column | undefined } & {
  downstreamPeer: Column | undefined;
  upstreamPeer: Column | undefined;
};

export class CallReader {
  /** The answer of the last `read`. */
  readonly call = new Call();
  readonly #options: CallOptions;
  readonly #addresses: AddressBook;
  readonly #facts: CallFacts;
  readonly #sight: Sight = {
    direction: undefined,
    purpose: 'unknown',
    clusterPort: -1,
    role: undefined,
    ownIp: undefined,
    source: undefined,
    local: undefined,
    upstreamLocal: undefined,
    upstream: undefined,
    localPort: -1,
    meshServerName: false,
  };
  #batch!: Batch;
  #view!: DataView;
  #columns!: Columns;
  #self!: SelfFacts;

  constructor(options: CallOptions) {
    this.#options = options;
    this.#addresses = new AddressBook(options.names, options.inventory);
    this.#facts = new CallFacts(options.names, options.inventory);
  }

  /** The proxy behind the row that was read last. */
  get self(): SelfFacts {
    return this.#self;
  }

  /** To be called before the rows of a batch are read. `renewed`: the codes of `names` start anew. */
  begin(batch: Batch, renewed: boolean): void {
    if (renewed) {
      this.#facts.clear();
      this.#addresses.clear();
    }
    this.#batch = batch;
    this.#view = viewOf(batch.bytes);
    const find = (name: string) => batch.column(name);
    const columns = Object.entries(columnNames).map(([key, name]) => [key, find(name)]);
    this.#columns = {
      ...(Object.fromEntries(columns) as Columns),
      downstreamPeer: downstreamPeers.map(find).find((column) => column !== undefined),
      upstreamPeer: upstreamPeers.map(find).find((column) => column !== undefined),
    };
    this.#self = this.#facts.self(batch.resource);
  }

  /** Reads a row into `call`. */
  read(row: number): Call {
    const batch = this.#batch;
    const view = this.#view;
    const columns = this.#columns;
    const call = this.call;
    const sight = this.#sight;
    call.clear();
    if (batch.resourceOf !== undefined) {
      this.#self = this.#facts.self(batch.resources[batch.resourceOf[row]!] ?? batch.resource);
    }
    const facts = this.#facts;
    const cluster = facts.clusters.at(batch, view, columns.cluster, row) ?? facts.noCluster;
    const serverName = facts.serverNames.at(batch, view, columns.serverName, row);
    sight.direction = cluster.name.direction;
    sight.purpose = cluster.name.purpose;
    sight.clusterPort = cluster.port;
    sight.role = this.#self.self.role;
    sight.ownIp = this.#self.self.ip;
    sight.source = this.#address(columns.source, row);
    sight.local = this.#address(columns.local, row);
    sight.upstreamLocal = this.#address(columns.upstreamLocal, row);
    sight.upstream = this.#address(columns.upstream, row);
    sight.meshServerName = serverName?.name.mesh === 'istio';
    if (sight.upstreamLocal === undefined) sight.localPort = portAt(batch, columns.local, row);
    judge(sight, call.verdict);
    if (this.#options.reporter !== undefined) this.#override(this.#options.reporter);
    call.isKuma = this.#isKuma(cluster);
    call.zone = this.#self.zone;
    call.meshName = this.#self.meshName;
    this.#source(row);
    this.#destination(row, cluster, serverName);
    return call;
  }

  #address(column: Column | undefined, row: number): AddressFacts | undefined {
    return this.#addresses.at(this.#batch, this.#view, column, row);
  }

  #override(reporter: Reporter): void {
    const verdict = this.call.verdict;
    verdict.reporter = reporter;
    verdict.direction ??= reporter === 'destination' ? 'inbound' : 'outbound';
  }

  #isKuma(cluster: ClusterFacts): boolean {
    const rules = this.#options.rules;
    if (rules !== 'auto') return rules === 'kuma';
    return this.#self.self.rules === 'kuma' || cluster.name.mesh === 'kuma';
  }

  /** The proxy itself calls on the way out; on the way in it is whoever is on the other end of the connection. */
  #source(row: number): void {
    const call = this.call;
    const { direction, reporter } = call.verdict;
    if (direction === undefined) return;
    const sight = this.#sight;
    if (direction === 'outbound') {
      this.#take(call.source, this.#self.party, this.#self.self.evidence ?? 'inventory');
      const own = sight.upstreamLocal ?? (reporter === 'gateway' ? sight.local : sight.source);
      this.#take(call.source, this.#addresses.owner(own), 'inventory');
      return;
    }
    const columns = this.#columns;
    const facts = this.#facts;
    const peer = facts.peer(this.#batch, this.#view, columns.downstreamPeer, row);
    this.#take(call.source, peer, 'peer_metadata');
    const identity = facts.identities.at(this.#batch, this.#view, columns.peerSan, row);
    this.#take(call.source, identity, 'spiffe');
    const direct = this.#address(columns.direct, row) ?? sight.source;
    this.#take(call.source, this.#addresses.owner(direct), 'inventory');
    if (call.isKuma && call.source.service === NO_NAME) {
      call.source.service = this.#options.names.code('unknown');
      if (call.sourceRule === 'none') call.sourceRule = 'kuma';
    }
  }

  #destination(row: number, cluster: ClusterFacts, serverName: ClusterFacts | undefined): void {
    const call = this.call;
    if (cluster.name.purpose === 'own') return;
    if (call.verdict.direction === 'inbound') this.#inboundDestination(row, cluster, serverName);
    else this.#outboundDestination(row, cluster, serverName);
  }

  /** On the way out the cluster names the service, and the peer or the endpoint's owner the workload. */
  #outboundDestination(
    row: number,
    cluster: ClusterFacts,
    serverName: ClusterFacts | undefined,
  ): void {
    const call = this.call;
    const destination = call.destination;
    const columns = this.#columns;
    this.#takeCluster(cluster, 'cluster_name');
    const facts = this.#facts;
    const peer = facts.peer(this.#batch, this.#view, columns.upstreamPeer, row);
    this.#take(destination, peer, 'peer_metadata');
    const identity = facts.identities.at(this.#batch, this.#view, columns.upstreamSan, row);
    this.#take(destination, identity, 'spiffe');
    if (destination.service === NO_NAME) {
      if (serverName !== undefined) this.#takeCluster(serverName, 'server_name');
      if (destination.service === NO_NAME) this.#takeHost(this.#host(row), 'any');
    }
    this.#take(destination, this.#addresses.owner(this.#sight.upstream), 'inventory');
    if (destination.service !== NO_NAME) return;
    this.#take(destination, this.#addresses.owner(this.#sight.local), 'inventory');
    if (destination.service === NO_NAME) this.#nameless(cluster);
  }

  /** On the way in it is the proxy's own workload, under the name by which it was called. */
  #inboundDestination(
    row: number,
    cluster: ClusterFacts,
    serverName: ClusterFacts | undefined,
  ): void {
    const call = this.call;
    const destination = call.destination;
    this.#takeCluster(cluster, 'cluster_name');
    if (destination.service === NO_NAME && serverName !== undefined) {
      this.#takeCluster(serverName, 'server_name');
    }
    const host = destination.service === NO_NAME ? this.#host(row) : undefined;
    this.#takeHost(host, 'mesh');
    // A waypoint or gateway on the way in stands before the workload and is not it.
    if (call.verdict.reporter === 'destination') {
      this.#take(destination, this.#self.party, this.#self.self.evidence ?? 'inventory');
      this.#take(destination, this.#addresses.owner(this.#sight.local), 'inventory');
    } else {
      this.#take(destination, this.#addresses.owner(this.#sight.upstream), 'inventory');
    }
    if (destination.service === NO_NAME) this.#takeHost(host, 'any');
    if (call.port < 0) call.port = cluster.port;
  }

  #host(row: number): HostFacts | undefined {
    return this.#facts.hosts.at(this.#batch, this.#view, this.#columns.host, row);
  }

  #takeCluster(cluster: ClusterFacts, rule: PartyRule): void {
    const call = this.call;
    this.#take(call.destination, cluster.party, rule);
    if (call.host === NO_NAME) call.host = cluster.host;
    if (call.subset === NO_NAME) call.subset = cluster.subset;
    // The port in an inbound cluster is the workload's; whoever named the service knows the service's.
    if (
      call.port < 0 &&
      (cluster.party.service !== NO_NAME || cluster.name.direction !== 'inbound')
    ) {
      call.port = cluster.port;
    }
    if (call.zone === NO_NAME) call.zone = cluster.zone;
    if (call.meshName === NO_NAME) call.meshName = cluster.meshName;
  }

  /** `mesh`: only a name that some service of the mesh can have; the outside world's names do not say which it is. */
  #takeHost(host: HostFacts | undefined, which: 'mesh' | 'any'): void {
    if (host === undefined || host.name.kind === 'none' || host.name.kind === 'ip') return;
    if (which === 'mesh' && host.name.kind === 'dotted') return;
    const call = this.call;
    this.#take(call.destination, host.party, 'authority');
    if (call.host === NO_NAME) call.host = host.host;
    if (call.port < 0) call.port = host.port;
    // A short name is meant in the caller's namespace, which on the way in is mostly the workload's own.
    if (host.name.kind === 'short' && call.destination.namespace === NO_NAME) {
      call.destination.namespace = this.#self.party.namespace;
    }
  }

  /** Traffic that no service was found for, in the words of the mesh. */
  #nameless(cluster: ClusterFacts): void {
    const { names } = this.#options;
    const call = this.call;
    const purpose = cluster.name.purpose;
    if (call.isKuma && purpose === 'direct') {
      const upstream = this.#sight.upstream?.ip;
      if (upstream !== undefined)
        call.destination.service = names.code(`direct_access_${upstream}`);
    } else if (call.isKuma && call.verdict.reporter === 'gateway') {
      call.destination.service = names.code('*');
    } else if (purpose === 'passthrough') {
      call.destination.service = names.code('PassthroughCluster');
    } else if (purpose === 'blackhole') call.destination.service = names.code('BlackHoleCluster');
    else return;
    call.destinationRule = call.isKuma ? 'kuma' : 'cluster_name';
  }

  #take(party: PartyCodes, weaker: PartyCodes | undefined, rule: PartyRule): void {
    if (weaker === undefined || !complete(party, weaker)) return;
    if (party === this.call.source) this.call.sourceRule = rule;
    else this.call.destinationRule = rule;
  }
}

/** The port of an address cell, -1 when it has none. */
function portAt(batch: Batch, column: Column | undefined, row: number): number {
  if (column === undefined || column.kind[row] === ABSENT) return -1;
  if (column.kind[row] !== TEXT)
    return Number(/:(\d{1,5})$/.exec(batch.text(column, row) ?? '')?.[1] ?? -1);
  const bytes = batch.bytes;
  let at = column.b[row]! - 1;
  let port = 0;
  for (let scale = 1; at >= column.a[row]! && scale <= 10_000; at--, scale *= 10) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) break;
    port += digit * scale;
  }
  return bytes[at] === 58 ? port : -1;
}
