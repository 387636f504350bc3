// Everything that the rules look at for one row. One object for the life of a processor, pointed at row after row.

import type { Batch } from '../pipeline/batch.ts';
import { viewOf } from '../pipeline/buffers.ts';
import { ABSENT, type Column } from '../pipeline/column.ts';
import { AddressBook, AddressCell } from './address_book.ts';
import { type Call, type MeshRules, partyRules } from './call.ts';
import {
  CallFacts,
  type ClusterFacts,
  type HostFacts,
  type PartyFacts,
  type SelfFacts,
} from './call_facts.ts';
import type { Inventory } from './inventory/inventory.ts';
import { type Names, NO_NAME } from './names.ts';
import { complete, type PartyCodes } from './party.ts';
import type { Reporter, Verdict } from './reporter.ts';

export type CallOptions = {
  readonly names: Names;
  readonly inventory: Inventory;
  readonly rules: MeshRules;
  /** Cluster of proxies whose stream does not say it. */
  readonly cluster: string | undefined;
  /** Given by the user: every record was reported from there. */
  readonly reporter: Reporter | undefined;
  /** Whose address an inbound record of Kuma's shows as the source: Kuma itself prints the proxy's own. */
  readonly inboundSourceAddress: 'proxy' | 'peer';
};

/** The columns that the rules read. */
class Columns {
  readonly cluster: Column | undefined;
  readonly source: Column | undefined;
  readonly direct: Column | undefined;
  readonly local: Column | undefined;
  readonly upstream: Column | undefined;
  readonly upstreamLocal: Column | undefined;
  readonly serverName: Column | undefined;
  readonly host: Column | undefined;
  readonly peerSan: Column | undefined;
  readonly upstreamSan: Column | undefined;
  readonly downstreamPeer: Column | undefined;
  readonly upstreamPeer: Column | undefined;
  /** What the record itself brings along, as Kuma's formats and ztunnel print it. */
  readonly saidDirection: Column | undefined;
  readonly saidSource: Column | undefined;
  readonly saidDestination: Column | undefined;
  readonly saidHost: Column | undefined;

  constructor(batch: Batch) {
    const state = (peer: string) =>
      batch.column(`filter_state.${peer}`) ?? batch.column(`filter_state.wasm.${peer}`);
    this.cluster = batch.column('xds.cluster_name');
    this.source = batch.column('source.address');
    this.direct = batch.column('source.direct_address');
    this.local = batch.column('destination.address');
    this.upstream = batch.column('upstream.address');
    this.upstreamLocal = batch.column('upstream.local_address');
    this.serverName = batch.column('connection.requested_server_name');
    this.host = batch.column('request.host');
    this.peerSan = batch.column('connection.uri_san_peer_certificate');
    this.upstreamSan = batch.column('upstream.uri_san_peer_certificate');
    // Istio until 1.23 kept them under the name of its WebAssembly filter.
    this.downstreamPeer = state('downstream_peer');
    this.upstreamPeer = state('upstream_peer');
    this.saidDirection = batch.column('mesh.direction');
    this.saidSource = batch.column('mesh.source.service');
    this.saidDestination = batch.column('mesh.destination.service');
    this.saidHost = batch.column('mesh.destination.host');
  }
}

/** Facts in a key: those that most records have, and those that only some meshes and formats bring. */
const commonFacts = 5;
const allFacts = 15;

export class Scene {
  readonly options: CallOptions;
  row = -1;
  readonly book: AddressBook;
  readonly facts: CallFacts;
  readonly source = new AddressCell(this);
  readonly direct = new AddressCell(this);
  readonly local = new AddressCell(this);
  readonly upstream = new AddressCell(this);
  readonly upstreamLocal = new AddressCell(this);
  /**
   * The numbers of all facts that the rules may use, in the first `keyLength` words. Rows with the same key have the
   * same answer, so the rules read nothing but what is in it.
   */
  readonly key = new Int32Array(allFacts);
  keyLength = commonFacts;
  #hasMore = false;
  batch!: Batch;
  view!: DataView;
  columns!: Columns;
  self!: SelfFacts;
  cluster: ClusterFacts;
  serverName: ClusterFacts | undefined = undefined;
  hasMeshServerName = false;
  isKuma = false;
  /** Set by `gather`, once the direction is known. */
  host: HostFacts | undefined = undefined;
  peer: PartyFacts | undefined = undefined;
  identity: PartyFacts | undefined = undefined;
  saidSource: ClusterFacts | undefined = undefined;
  saidDestination: ClusterFacts | undefined = undefined;
  saidHost: HostFacts | undefined = undefined;
  sourceOwner: PartyFacts | undefined = undefined;
  destinationOwner: PartyFacts | undefined = undefined;
  /** Whose proxies were seen at the addresses of the other side. */
  sourceSeen: PartyFacts | undefined = undefined;
  destinationSeen: PartyFacts | undefined = undefined;
  /** Of Kuma's direct access: the name of the address that was asked for. */
  directName = NO_NAME;

  constructor(options: CallOptions) {
    this.options = options;
    this.facts = new CallFacts(options.names, options.inventory, options.cluster);
    this.book = new AddressBook(this.facts, options.inventory);
    this.cluster = this.facts.noCluster;
  }

  begin(batch: Batch, renewed: boolean): void {
    if (renewed) {
      this.facts.clear();
      this.book.clear();
    }
    const columns = new Columns(batch);
    this.batch = batch;
    this.view = viewOf(batch.bytes);
    this.columns = columns;
    this.book.begin(batch, this.view);
    this.source.begin(batch, columns.source);
    this.direct.begin(batch, columns.direct);
    this.local.begin(batch, columns.local);
    this.upstream.begin(batch, columns.upstream);
    this.upstreamLocal.begin(batch, columns.upstreamLocal);
    this.self = this.facts.self(batch.resource);
    const { peerSan, upstreamSan, downstreamPeer, upstreamPeer } = columns;
    const more = [peerSan, upstreamSan, downstreamPeer, upstreamPeer];
    const said = [columns.saidSource, columns.saidDestination, columns.saidHost];
    this.#hasMore =
      this.options.inventory.isUsed || [...more, ...said].some((column) => column !== undefined);
    this.#forget();
  }

  /** Points the scene at a row. */
  look(row: number): void {
    const { batch, view, columns, facts } = this;
    this.row = row;
    if (batch.resourceOf !== undefined) {
      this.self = facts.self(batch.resources[batch.resourceOf[row]!] ?? batch.resource);
    }
    this.cluster = facts.clusters.at(batch, view, columns.cluster, row) ?? facts.noCluster;
    this.serverName = facts.serverNames.at(batch, view, columns.serverName, row);
    this.hasMeshServerName = this.serverName?.name.mesh === 'istio';
    this.isKuma = this.#isKuma();
  }

  /** Gathers what the rules for this verdict use, and fills `key`. */
  gather(row: number, verdict: Verdict): void {
    const { batch, view, columns, facts, cluster, serverName, key } = this;
    const isNamed =
      cluster.party.service !== NO_NAME ||
      (serverName !== undefined && serverName.party.service !== NO_NAME);
    this.host = isNamed ? undefined : facts.hosts.at(batch, view, columns.host, row);
    const isMore = this.#hasMore || this.book.hasSelves || cluster.name.purpose === 'direct';
    key[0] = cluster.id;
    key[1] = serverName === undefined ? 0 : serverName.id;
    key[2] = this.host === undefined ? 0 : this.host.id;
    key[3] = this.self.id;
    key[4] = verdictNumber(verdict) | (isMore ? 512 : 0);
    this.keyLength = isMore ? allFacts : commonFacts;
    if (isMore) this.#gatherMore(row, verdict);
    else if (this.directName !== NO_NAME) this.#forget();
  }

  #gatherMore(row: number, verdict: Verdict): void {
    const { batch, view, columns, facts, cluster, key } = this;
    const isInbound = verdict.direction === 'inbound';
    const peers = isInbound ? columns.downstreamPeer : columns.upstreamPeer;
    this.peer = peers && facts.peer(batch, view, peers, row);
    const sans = isInbound ? columns.peerSan : columns.upstreamSan;
    this.identity = sans && facts.identities.at(batch, view, sans, row);
    this.saidSource = this.#said(columns.saidSource, row);
    this.saidDestination = this.#said(columns.saidDestination, row);
    const said = columns.saidHost;
    this.saidHost = said && facts.hosts.at(batch, view, said, row);
    if (this.options.inventory.isUsed) this.#owners(verdict);
    this.#seen(verdict);
    this.directName = cluster.name.purpose === 'direct' ? this.#directName(row) : NO_NAME;
    key[5] = this.peer?.id ?? 0;
    key[6] = this.identity?.id ?? 0;
    key[7] = this.saidSource?.id ?? 0;
    key[8] = this.saidDestination?.id ?? 0;
    key[9] = this.sourceOwner?.id ?? 0;
    key[10] = this.destinationOwner?.id ?? 0;
    key[11] = this.directName;
    key[12] = this.saidHost?.id ?? 0;
    key[13] = this.sourceSeen?.id ?? 0;
    key[14] = this.destinationSeen?.id ?? 0;
  }

  #forget(): void {
    this.peer = undefined;
    this.identity = undefined;
    this.saidSource = undefined;
    this.saidDestination = undefined;
    this.saidHost = undefined;
    this.sourceOwner = undefined;
    this.destinationOwner = undefined;
    this.sourceSeen = undefined;
    this.destinationSeen = undefined;
    this.directName = NO_NAME;
  }

  #said(column: Column | undefined, row: number): ClusterFacts | undefined {
    return column && this.facts.clusters.at(this.batch, this.view, column, row);
  }

  /** Whoever has the addresses at both ends, as far as the rules for this verdict may believe them. */
  #owners({ direction, reporter }: Verdict): void {
    const { book, source, local, upstream, upstreamLocal, direct } = this;
    if (direction === 'inbound') {
      this.sourceOwner = book.owner(direct.isThere ? direct : source);
      this.destinationOwner = book.listener(reporter === 'destination' ? local : upstream);
      return;
    }
    const own = upstreamLocal.isThere ? upstreamLocal : reporter === 'gateway' ? local : source;
    this.sourceOwner = direction === undefined ? undefined : book.owner(own);
    this.destinationOwner = book.listener(upstream) ?? book.listener(local);
  }

  /** The other side, if its proxy was seen: the own side is known already. */
  #seen({ direction, reporter }: Verdict): void {
    const { book, direct, source, upstream } = this;
    const caller = direction === 'inbound' ? (direct.isThere ? direct : source) : undefined;
    this.sourceSeen = caller && book.seen(caller);
    this.destinationSeen = reporter === 'destination' ? undefined : book.seen(upstream);
  }

  #directName(row: number): number {
    const address = this.batch.text(this.columns.upstream, row);
    return address === undefined ? NO_NAME : this.options.names.code(`direct_access_${address}`);
  }

  #isKuma(): boolean {
    const { rules } = this.options;
    if (rules !== 'auto') return rules === 'kuma';
    return this.self.self.rules === 'kuma' || this.cluster.name.mesh === 'kuma';
  }
}

/** Completes a side of a call by what another source says, and notes the rule if that named it. */
export function take(
  call: Call,
  party: PartyCodes,
  weaker: PartyCodes | undefined,
  rule: number,
): void {
  if (weaker === undefined || !complete(party, weaker)) return;
  if (party === call.source) call.sourceRule = rule;
  else call.destinationRule = rule;
}

/** A certificate's identity is a fact, even where the rest of it is about somebody in another namespace. */
export function takeIdentity(
  call: Call,
  party: PartyCodes,
  identity: PartyFacts | undefined,
): void {
  if (identity === undefined) return;
  if (party.identity === NO_NAME) party.identity = identity.party.identity;
  take(call, party, identity.party, partyRules.spiffe);
}

export function holds(column: Column | undefined, row: number): boolean {
  return column !== undefined && column.kind[row] !== ABSENT;
}

function verdictNumber({ direction, reporter, rule }: Verdict): number {
  const way = direction === undefined ? 0 : direction === 'inbound' ? 1 : 2;
  const place =
    reporter === undefined ? 0 : reporter === 'source' ? 1 : reporter === 'gateway' ? 2 : 3;
  return (rule << 4) | (way << 2) | place;
}
