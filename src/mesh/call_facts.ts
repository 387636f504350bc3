// What single values say about a call, worked out once per distinct value and kept as codes.

import type { Batch } from '../pipeline/batch.ts';
import { type Column, HELD } from '../pipeline/column.ts';
import type { Attributes } from '../pipeline/record.ts';
import { CellMemo } from './cell_memo.ts';
import { type ClusterName, parseClusterName, parseServerName } from './cluster_name.ts';
import { type HostName, parseHost } from './host_name.ts';
import type { Inventory } from './inventory/inventory.ts';
import type { Names } from './names.ts';
import { complete, nobody, type PartyCodes, partyCodes } from './party.ts';
import { type Self, selfOf } from './self.ts';
import { partyOfSpiffe } from './spiffe.ts';
import { partyOfPeer } from './workload_metadata.ts';

export type ClusterFacts = {
  readonly name: ClusterName;
  readonly party: PartyCodes;
  readonly host: number;
  readonly subset: number;
  readonly port: number;
  readonly zone: number;
  readonly meshName: number;
};

export type HostFacts = {
  readonly name: HostName;
  readonly party: PartyCodes;
  readonly host: number;
  readonly port: number;
};

export type SelfFacts = {
  readonly self: Self;
  readonly party: PartyCodes;
  readonly zone: number;
  readonly meshName: number;
  /** The inventory's generation that took part in it. */
  readonly generation: number;
};

export class CallFacts {
  readonly clusters: CellMemo<ClusterFacts>;
  readonly serverNames: CellMemo<ClusterFacts>;
  readonly hosts: CellMemo<HostFacts>;
  readonly identities: CellMemo<PartyCodes>;
  readonly noCluster: ClusterFacts;
  readonly #names: Names;
  readonly #inventory: Inventory;
  readonly #peers: CellMemo<PartyCodes>;
  #selves = new WeakMap<Attributes, SelfFacts>();

  constructor(names: Names, inventory: Inventory) {
    this.#names = names;
    this.#inventory = inventory;
    this.clusters = new CellMemo((text) => clusterFacts(names, parseClusterName(text)));
    this.serverNames = new CellMemo((text) => clusterFacts(names, parseServerName(text)));
    this.hosts = new CellMemo((text) => hostFacts(names, parseHost(text)));
    this.identities = new CellMemo((text) => partyCodes(names, partyOfSpiffe(text)));
    this.#peers = new CellMemo((text) => partyCodes(names, partyOfPeer(jsonOf(text))));
    this.noCluster = clusterFacts(names, parseClusterName(''));
  }

  /** Peer metadata in a cell: JSON text, or what a decoder held. */
  peer(batch: Batch, view: DataView, column: Column | undefined, row: number) {
    if (column === undefined) return undefined;
    if (column.kind[row] !== HELD) return this.#peers.at(batch, view, column, row);
    return partyCodes(this.#names, partyOfPeer(batch.value(column, row)));
  }

  /** The proxy behind a stream's facts, with what the inventory adds. */
  self(resource: Attributes): SelfFacts {
    const known = this.#selves.get(resource);
    if (known?.generation === this.#inventory.generation) return known;
    const self = known?.self ?? selfOf(resource);
    const party = partyCodes(this.#names, self);
    const owner =
      (self.pod === undefined || self.namespace === undefined
        ? undefined
        : this.#inventory.byPod(self.namespace, self.pod)) ??
      (self.ip === undefined ? undefined : this.#inventory.byIp(self.ip));
    // A service that only the pod's name suggests gives way to one that the inventory knows.
    if (owner?.service !== undefined && self.evidence === 'resource') {
      party.service = this.#names.code(owner.service);
    }
    if (owner !== undefined) complete(party, partyCodes(this.#names, owner));
    const facts = {
      self,
      party,
      zone: this.#names.code(self.zone ?? owner?.zone),
      meshName: this.#names.code(self.mesh ?? owner?.mesh),
      generation: this.#inventory.generation,
    };
    this.#selves.set(resource, facts);
    return facts;
  }

  /** Codes became void. */
  clear(): void {
    this.clusters.clear();
    this.serverNames.clear();
    this.hosts.clear();
    this.identities.clear();
    this.#peers.clear();
    this.#selves = new WeakMap();
  }
}

function clusterFacts(names: Names, name: ClusterName): ClusterFacts {
  return {
    name,
    party: partyCodes(names, { ...nobody, service: name.service, namespace: name.namespace }),
    host: names.code(name.host),
    subset: names.code(name.subset),
    port: name.port ?? -1,
    zone: names.code(name.zone),
    meshName: names.code(name.meshName),
  };
}

function hostFacts(names: Names, name: HostName): HostFacts {
  return {
    name,
    party: partyCodes(names, { ...nobody, service: name.service, namespace: name.namespace }),
    host: names.code(name.host),
    port: name.port ?? -1,
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
