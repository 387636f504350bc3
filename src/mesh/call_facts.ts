// What single values say about a call, worked out once per distinct value and kept as codes.

import type { Batch } from '../pipeline/batch.ts';
import { type Column, HELD } from '../pipeline/column.ts';
import type { Attributes } from '../pipeline/record.ts';
import { CellMemo } from './cell_memo.ts';
import { type ClusterName, parseClusterName, parseServerName } from './cluster_name.ts';
import { type HostName, parseHost } from './host_name.ts';
import type { Inventory } from './inventory/inventory.ts';
import { type Names, NO_NAME } from './names.ts';
import { complete, nobody, type Party, type PartyCodes, partyCodes } from './party.ts';
import type { Reporter } from './reporter.ts';
import { type Self, selfOf } from './self.ts';
import { partyOfSpiffe } from './spiffe.ts';
import { partyOfPeer } from './workload_metadata.ts';

/** Every fact has a number, so that a combination of facts can be looked up. 0 stands for none. */
type Fact = { readonly id: number };

export type ClusterFacts = Fact & {
  readonly name: ClusterName;
  readonly party: PartyCodes;
  readonly host: number;
  readonly subset: number;
  readonly port: number;
  readonly meshName: number;
};

export type HostFacts = Fact & {
  readonly name: HostName;
  readonly party: PartyCodes;
  readonly host: number;
  readonly port: number;
};

export type PartyFacts = Fact & { readonly party: PartyCodes };

export type SelfFacts = Fact & {
  readonly self: Self;
  readonly party: PartyCodes;
  readonly zone: number;
  readonly meshName: number;
  readonly meshId: number;
  /** Where the proxy was seen to stand when it reported a call of its own: it stays what it is. */
  reporter: Reporter | undefined;
  /** The state of inventory and learnt services that took part in it. */
  readonly generation: number;
};

export class CallFacts {
  readonly clusters: CellMemo<ClusterFacts>;
  readonly serverNames: CellMemo<ClusterFacts>;
  readonly hosts: CellMemo<HostFacts>;
  readonly identities: CellMemo<PartyFacts>;
  /** Values that a record brings along, in lower case. */
  readonly words = new CellMemo((text) => text.toLowerCase());
  readonly noCluster: ClusterFacts;
  readonly #names: Names;
  readonly #inventory: Inventory;
  /** Of proxies whose stream does not say it. */
  readonly #cluster: string | undefined;
  readonly #peers: CellMemo<PartyFacts>;
  #selves = new WeakMap<Attributes, SelfFacts>();
  /** Parties by content: replicas of one workload are one fact. */
  readonly #parties = new Map<string, PartyFacts>();
  #owners = new WeakMap<Party, PartyFacts>();
  /** Services by namespace and workload, learnt from the calls that came in there. */
  readonly #served = new Map<string, string>();
  #ids = 1;

  constructor(names: Names, inventory: Inventory, cluster: string | undefined) {
    this.#names = names;
    this.#cluster = cluster;
    this.#inventory = inventory;
    this.clusters = new CellMemo((text) => this.#clusterFacts(parseClusterName(text)));
    this.serverNames = new CellMemo((text) => this.#clusterFacts(parseServerName(text)));
    this.hosts = new CellMemo((text) => this.#hostFacts(parseHost(text)));
    this.identities = new CellMemo((text) => this.#partyFacts(partyOfSpiffe(text)));
    this.#peers = new CellMemo((text) => this.#partyFacts(partyOfPeer(jsonOf(text))));
    this.noCluster = { ...this.#clusterFacts(parseClusterName('')), id: 0 };
  }

  /** Peer metadata in a cell: JSON text, or what a decoder held. */
  peer(batch: Batch, view: DataView, column: Column | undefined, row: number) {
    if (column === undefined) return undefined;
    if (column.kind[row] !== HELD) return this.#peers.at(batch, view, column, row);
    return this.owner(partyOfPeer(batch.value(column, row)));
  }

  /** A party that an inventory or a decoder made. */
  owner(party: Party): PartyFacts {
    let facts = this.#owners.get(party);
    if (facts === undefined) {
      facts = this.#sameParty(party);
      this.#owners.set(party, facts);
    }
    return facts;
  }

  #sameParty(party: Party): PartyFacts {
    const { service, workload, namespace, cluster, identity } = party;
    const key = [service, workload, namespace, cluster, identity].join('\n');
    let facts = this.#parties.get(key);
    if (facts === undefined) {
      if (this.#parties.size >= partiesMax) this.#parties.clear();
      facts = this.#partyFacts(party);
      this.#parties.set(key, facts);
    }
    return facts;
  }

  /** The proxy behind a stream's facts, with what the inventory adds. */
  self(resource: Attributes): SelfFacts {
    const known = this.#selves.get(resource);
    const generation = this.#inventory.generation + this.#served.size;
    if (known?.generation === generation) return known;
    const self = known?.self ?? selfOf(resource);
    const party = partyCodes(this.#names, self);
    const owner =
      (self.pod === undefined || self.namespace === undefined
        ? undefined
        : this.#inventory.byPod(self.namespace, self.pod)) ??
      (self.ip === undefined ? undefined : this.#inventory.byIp(self.ip)?.any);
    // A service that only the workload's name suggests gives way to one that somebody knows.
    if (self.service === self.workload) {
      const name = owner?.service ?? this.#served.get(`${self.namespace}/${self.workload}`);
      if (name !== undefined) party.service = this.#names.code(name);
    }
    if (owner !== undefined) complete(party, partyCodes(this.#names, owner));
    if (party.cluster === NO_NAME) party.cluster = this.#names.code(this.#cluster);
    const facts: SelfFacts = {
      id: this.#ids++,
      self,
      party,
      zone: this.#names.code(self.zone ?? owner?.zone),
      meshName: this.#names.code(self.mesh ?? owner?.mesh),
      meshId: this.#names.code(self.meshId),
      reporter: known?.reporter,
      generation,
    };
    this.#selves.set(resource, facts);
    return facts;
  }

  /**
   * Learns from an inbound call as which service the proxy's workload is called. The first one stays, so that the name
   * does not flicker where several services lead to a workload.
   */
  learnService({ self }: SelfFacts, { service, namespace }: PartyCodes): void {
    const { workload } = self;
    if (workload === undefined || self.service !== workload) return;
    const name = this.#names.text(service);
    if (name === undefined || this.#names.text(namespace) !== self.namespace) return;
    const key = `${self.namespace}/${workload}`;
    if (this.#served.size < servedMax && !this.#served.has(key)) this.#served.set(key, name);
  }

  /** Codes became void. */
  clear(): void {
    this.clusters.clear();
    this.serverNames.clear();
    this.hosts.clear();
    this.identities.clear();
    this.#peers.clear();
    this.#parties.clear();
    this.#owners = new WeakMap();
    this.#selves = new WeakMap();
  }

  #clusterFacts(name: ClusterName): ClusterFacts {
    const names = this.#names;
    return {
      id: this.#ids++,
      name,
      // Kuma's zones are what other meshes call clusters.
      party: partyCodes(names, {
        ...nobody,
        service: name.service,
        namespace: name.namespace,
        cluster: name.zone,
      }),
      host: names.code(name.host),
      subset: names.code(name.subset),
      port: name.port ?? -1,
      meshName: names.code(name.meshName),
    };
  }

  #hostFacts(name: HostName): HostFacts {
    const { service, namespace } = name;
    return {
      id: this.#ids++,
      name,
      party: partyCodes(this.#names, { ...nobody, service, namespace }),
      host: this.#names.code(name.host),
      port: name.port ?? -1,
    };
  }

  #partyFacts(party: Party): PartyFacts {
    return { id: this.#ids++, party: partyCodes(this.#names, party) };
  }
}

const partiesMax = 16_384;
const servedMax = 16_384;

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
