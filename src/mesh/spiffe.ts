// SPIFFE identities in certificates. Istio: `spiffe://trust-domain/ns/bookinfo/sa/reviews`; Kuma: `spiffe://mesh/service`.

import { nobody, type Party } from './party.ts';

const scheme = 'spiffe://';
const idBytesMax = 2048;

/** Who a certificate's URI SANs (joined by commas) speak of. `nobody` when there is no SPIFFE id among them. */
export function partyOfSpiffe(sans: string): Party {
  if (sans.length > idBytesMax) return nobody;
  const ids = sans.split(',').map((id) => id.trim());
  const identity = ids.find((id) => id.startsWith(scheme) && id.length > scheme.length);
  if (identity === undefined) return nobody;
  const [domain, ...path] = identity.slice(scheme.length).split('/');
  const namespace = after(path, 'ns');
  if (namespace !== undefined) return { ...nobody, identity, namespace };
  // Kuma adds kuma://tag/value URIs for the tags of the data plane next to the identity.
  if (path.length !== 1 || path[0] === '') return { ...nobody, identity };
  return { ...nobody, identity, service: path[0], mesh: domain || undefined };
}

/** The part after a part of the given name: identities are paths of pairs. */
function after(path: readonly string[], name: string): string | undefined {
  const at = path.indexOf(name);
  return at < 0 || at % 2 !== 0 ? undefined : path[at + 1] || undefined;
}
