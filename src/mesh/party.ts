// One side of a call: what is known about a workload, from whatever source.

import { type Names, NO_NAME } from './names.ts';

export type Party = {
  readonly service: string | undefined;
  readonly workload: string | undefined;
  readonly namespace: string | undefined;
  readonly cluster: string | undefined;
  readonly identity: string | undefined;
  readonly zone: string | undefined;
  readonly mesh: string | undefined;
};

export type Labels = Readonly<Record<string, string>>;

export const nobody: Party = {
  service: undefined,
  workload: undefined,
  namespace: undefined,
  cluster: undefined,
  identity: undefined,
  zone: undefined,
  mesh: undefined,
};

/** A party as codes of `Names`. */
export type PartyCodes = {
  service: number;
  workload: number;
  namespace: number;
  cluster: number;
  identity: number;
};

export function partyCodes(names: Names, party: Party): PartyCodes {
  return {
    service: names.code(party.service),
    workload: names.code(party.workload),
    namespace: names.code(party.namespace),
    cluster: names.code(party.cluster),
    identity: names.code(party.identity),
  };
}

export function noCodes(): PartyCodes {
  return {
    service: NO_NAME,
    workload: NO_NAME,
    namespace: NO_NAME,
    cluster: NO_NAME,
    identity: NO_NAME,
  };
}

/**
 * Takes from `weaker` what `codes` does not say yet. A party of another namespace is somebody else and gives nothing.
 * Returns whether the service or the workload came from it.
 */
export function complete(codes: PartyCodes, weaker: PartyCodes): boolean {
  if (
    codes.namespace !== NO_NAME &&
    weaker.namespace !== NO_NAME &&
    codes.namespace !== weaker.namespace
  ) {
    return false;
  }
  const named = codes.service !== NO_NAME || codes.workload !== NO_NAME;
  if (codes.service === NO_NAME) codes.service = weaker.service;
  if (codes.workload === NO_NAME) codes.workload = weaker.workload;
  if (codes.namespace === NO_NAME) codes.namespace = weaker.namespace;
  if (codes.cluster === NO_NAME) codes.cluster = weaker.cluster;
  if (codes.identity === NO_NAME) codes.identity = weaker.identity;
  return !named && (codes.service !== NO_NAME || codes.workload !== NO_NAME);
}

/** The service that a workload's labels name: Istio's canonical service, whose last resort is the workload itself. */
export function canonicalService(
  labels: Labels | undefined,
  workload: string | undefined,
): string | undefined {
  return (
    labels?.['service.istio.io/canonical-name'] ??
    labels?.['app.kubernetes.io/name'] ??
    labels?.['app'] ??
    labels?.['kuma.io/service'] ??
    workload
  );
}
