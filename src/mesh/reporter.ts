// Which way a call went as seen by the proxy that reports it, and where that proxy stands.

import type { AddressBook, AddressCell, ProxyKind } from './address_book.ts';
import type { ClusterPurpose, Direction } from './cluster_name.ts';
import type { ProxyRole } from './node_id.ts';

export type Reporter = 'source' | 'destination' | 'gateway';

/** What the rules look at. Reused for every row. */
export type Sight = {
  direction: Direction | undefined;
  /** Whether the record itself says the direction, and not the cluster's name. */
  isSaid: boolean;
  purpose: ClusterPurpose;
  /** -1: none, as with every port here. */
  clusterPort: number;
  role: ProxyRole | undefined;
  /** Where the proxy of the stream was seen to stand before. */
  known: Reporter | undefined;
  /** The proxy's own address, where its node says it. */
  ownIp: string | undefined;
  /** Downstream's address, the address it connected to, and the proxy's own towards upstream. */
  readonly source: AddressCell;
  readonly local: AddressCell;
  readonly upstreamLocal: AddressCell;
  readonly upstream: AddressCell;
  localPort: number;
  /** Whether the server name is one that Istio's client side proxies set. */
  meshServerName: boolean;
};

/** What told direction and reporter, as small numbers: combinations of rules are looked up in a table. */
export const reporterRules = {
  none: 0,
  cluster_name: 1,
  node: 2,
  addresses: 3,
  seen_before: 4,
  port: 5,
  configured: 6,
  record: 7,
  stream: 8,
} as const;

/** The verdict. Reused for every row. */
export type Verdict = {
  direction: Direction | undefined;
  reporter: Reporter | undefined;
  rule: number;
};

export class Judge {
  readonly verdict: Verdict = { direction: undefined, reporter: undefined, rule: 0 };
  readonly #book: AddressBook;

  constructor(book: AddressBook) {
    this.#book = book;
  }

  /** Sets `verdict` from what is seen of a row. */
  decide(sight: Sight): void {
    const verdict = this.verdict;
    verdict.direction = sight.direction;
    verdict.reporter = undefined;
    verdict.rule = reporterRules.none;
    if (sight.purpose === 'own' || sight.role === 'zone_proxy') {
      verdict.direction = undefined;
    } else if (sight.direction === 'outbound') this.#outbound(sight);
    else if (sight.direction === 'inbound') {
      const isWaypoint = sight.role === 'waypoint';
      this.#say('inbound', isWaypoint ? 'gateway' : 'destination', named(sight));
    } else this.#unnamed(sight);
  }

  #outbound(sight: Sight): void {
    const { role, source, local, upstreamLocal } = sight;
    const book = this.#book;
    if (role === 'sidecar') return this.#say('outbound', 'source', reporterRules.node);
    if (role === 'gateway' || role === 'waypoint') {
      return this.#say('outbound', 'gateway', reporterRules.node);
    }
    if (sight.known !== undefined) return this.#say('outbound', sight.known, reporterRules.stream);
    if (this.#byAddresses(sight)) return;
    const seen =
      book.role(upstreamLocal) ??
      (book.role(source) === 'sidecar' ? 'sidecar' : undefined) ??
      (book.role(local) === 'gateway' ? 'gateway' : undefined);
    if (seen !== undefined) return this.#seen(seen);
    if (sight.clusterPort < 0 || sight.localPort < 0 || upstreamLocal.isThere) {
      return this.#say('outbound', 'source', named(sight));
    }
    // Nothing was sent upstream. A sidecar is reached at the service's port, a gateway at its own.
    const isSidecar = sight.localPort === sight.clusterPort;
    this.#say('outbound', isSidecar ? 'source' : 'gateway', reporterRules.port);
  }

  /** A sidecar sends from the address that its client has too; a gateway from the one at which it was reached. */
  #byAddresses(sight: Sight): boolean {
    const { source, local, upstreamLocal } = sight;
    const book = this.#book;
    if (!upstreamLocal.isThere) return false;
    if (book.same(source, upstreamLocal)) {
      this.#say('outbound', 'source', reporterRules.addresses);
      return true;
    }
    if (book.isLocal(upstreamLocal) || !book.same(local, upstreamLocal)) return false;
    this.#say('outbound', 'gateway', reporterRules.addresses);
    return true;
  }

  /** No cluster, or one whose name says no direction: listener logs, missing routes, plain names. */
  #unnamed(sight: Sight): void {
    const { role, source, local, upstreamLocal, upstream, ownIp } = sight;
    const book = this.#book;
    const { node, addresses, seen_before } = reporterRules;
    if (role === 'gateway') return this.#say('outbound', 'gateway', node);
    if (sight.meshServerName || book.isLocal(upstreamLocal) || book.isLocal(upstream)) {
      return this.#say('inbound', 'destination', addresses);
    }
    if (this.#byAddresses(sight)) return;
    if (ownIp !== undefined) {
      if (local.isThere && book.ip(local) === ownIp) {
        return this.#say('inbound', 'destination', node);
      }
      if (source.isThere && book.ip(source) === ownIp) return this.#say('outbound', 'source', node);
    }
    const localRole = book.role(local);
    if (localRole === 'gateway') return this.#seen('gateway');
    if (localRole === 'sidecar') return this.#say('inbound', 'destination', seen_before);
    if (book.role(source) === 'sidecar') this.#seen('sidecar');
  }

  #seen(role: ProxyKind): void {
    this.#say('outbound', role === 'gateway' ? 'gateway' : 'source', reporterRules.seen_before);
  }

  #say(direction: Direction, reporter: Reporter, rule: number): void {
    this.verdict.direction = direction;
    this.verdict.reporter = reporter;
    this.verdict.rule = rule;
  }
}

/** The rule when nothing but the direction is known. */
function named(sight: Sight): number {
  return sight.isSaid ? reporterRules.record : reporterRules.cluster_name;
}
