// Which way a call went as seen by the proxy that reports it, and where that proxy stands.

import { type AddressFacts, sameIp } from './address_book.ts';
import type { ClusterPurpose, Direction } from './cluster_name.ts';
import type { ProxyRole } from './node_id.ts';

export type Reporter = 'source' | 'destination' | 'gateway';

/** What the rules look at. Reused for every row. */
export type Sight = {
  direction: Direction | undefined;
  purpose: ClusterPurpose;
  /** -1: none, as with every port here. */
  clusterPort: number;
  role: ProxyRole | undefined;
  /** The proxy's own address, where its node says it. */
  ownIp: string | undefined;
  /** Downstream's address, the address it connected to, and the proxy's own towards upstream. */
  source: AddressFacts | undefined;
  local: AddressFacts | undefined;
  upstreamLocal: AddressFacts | undefined;
  upstream: AddressFacts | undefined;
  localPort: number;
  /** Whether the server name is one that Istio's client side proxies set. */
  meshServerName: boolean;
};

export type ReporterRule = 'cluster_name' | 'node' | 'addresses' | 'seen_before' | 'port' | 'none';

/** The verdict. Reused for every row. */
export type Verdict = {
  direction: Direction | undefined;
  reporter: Reporter | undefined;
  rule: ReporterRule;
};

/** Sets `verdict` from what is seen of a row. */
export function judge(sight: Sight, verdict: Verdict): void {
  verdict.direction = sight.direction;
  verdict.reporter = undefined;
  verdict.rule = 'none';
  if (sight.purpose === 'own' || sight.role === 'zone_proxy') {
    verdict.direction = undefined;
    return;
  }
  if (sight.direction === 'outbound') judgeOutbound(sight, verdict);
  else if (sight.direction === 'inbound') {
    say(verdict, 'inbound', sight.role === 'waypoint' ? 'gateway' : 'destination', 'cluster_name');
  } else judgeUnnamed(sight, verdict);
}

function judgeOutbound(sight: Sight, verdict: Verdict): void {
  const { role, source, local, upstreamLocal } = sight;
  if (role === 'sidecar') say(verdict, 'outbound', 'source', 'node');
  else if (role === 'gateway' || role === 'waypoint') say(verdict, 'outbound', 'gateway', 'node');
  else if (judgeByAddresses(sight, verdict)) return;
  else if (upstreamLocal?.role !== undefined) seen(verdict, upstreamLocal.role);
  else if (source?.role === 'sidecar') seen(verdict, 'sidecar');
  else if (local?.role === 'gateway') seen(verdict, 'gateway');
  else if (sight.clusterPort >= 0 && sight.localPort >= 0 && upstreamLocal === undefined) {
    // Nothing was sent upstream. A sidecar is reached at the service's port, a gateway at its own.
    const isSidecar = sight.localPort === sight.clusterPort;
    say(verdict, 'outbound', isSidecar ? 'source' : 'gateway', 'port');
  } else say(verdict, 'outbound', 'source', 'cluster_name');
}

/** A sidecar sends from the address that its client has too; a gateway from the one at which it was reached. */
function judgeByAddresses(sight: Sight, verdict: Verdict): boolean {
  const { source, local, upstreamLocal } = sight;
  if (upstreamLocal === undefined) return false;
  if (sameIp(source, upstreamLocal)) {
    if (!upstreamLocal.isLocal) upstreamLocal.role = 'sidecar';
    say(verdict, 'outbound', 'source', 'addresses');
    return true;
  }
  if (upstreamLocal.isLocal || !sameIp(local, upstreamLocal)) return false;
  upstreamLocal.role = 'gateway';
  say(verdict, 'outbound', 'gateway', 'addresses');
  return true;
}

/** No cluster, or one whose name says no direction: listener logs, missing routes, plain names. */
function judgeUnnamed(sight: Sight, verdict: Verdict): void {
  const { role, source, local, upstreamLocal, upstream, ownIp } = sight;
  if (role === 'gateway') say(verdict, 'outbound', 'gateway', 'node');
  else if (sight.meshServerName) say(verdict, 'inbound', 'destination', 'addresses');
  else if (upstreamLocal?.isLocal === true || upstream?.isLocal === true) {
    say(verdict, 'inbound', 'destination', 'addresses');
  } else if (judgeByAddresses(sight, verdict)) return;
  else if (ownIp !== undefined && local?.ip === ownIp) {
    say(verdict, 'inbound', 'destination', 'node');
  } else if (ownIp !== undefined && source?.ip === ownIp) {
    say(verdict, 'outbound', 'source', 'node');
  } else if (local?.role === 'gateway') seen(verdict, 'gateway');
  else if (local?.role === 'sidecar') say(verdict, 'inbound', 'destination', 'seen_before');
  else if (source?.role === 'sidecar') seen(verdict, 'sidecar');
}

function seen(verdict: Verdict, role: 'sidecar' | 'gateway'): void {
  say(verdict, 'outbound', role === 'gateway' ? 'gateway' : 'source', 'seen_before');
}

function say(verdict: Verdict, direction: Direction, reporter: Reporter, rule: ReporterRule): void {
  verdict.direction = direction;
  verdict.reporter = reporter;
  verdict.rule = rule;
}
