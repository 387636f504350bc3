// SPIFFE identities of peers: who a workload is, as its certificate says.

import type { PeerCertificate } from 'node:tls';

/**
 * The SPIFFE ID of a certificate: its only URI name, if that begins with `spiffe://` (an X.509 SVID has exactly one).
 * Undefined when there is none.
 */
export function spiffeId(
  certificate: Pick<PeerCertificate, 'subjectaltname'> | undefined,
): string | undefined {
  const names = altNames(certificate?.subjectaltname ?? '');
  const uris = names.filter((name) => name.startsWith('URI:'));
  const id = uris[0]?.slice(4);
  return uris.length === 1 && id?.startsWith('spiffe://') ? id : undefined;
}

/**
 * Whether an identity is on the list. An entry is a full ID or ends in `/*`, which stands for every ID below
 * that path: `spiffe://cluster.local/ns/shop/*`.
 */
export function spiffeAllowed(id: string | undefined, allowed: readonly string[]): boolean {
  if (id === undefined) return false;
  return allowed.some((entry) =>
    entry.endsWith('/*') ? id.startsWith(entry.slice(0, -1)) : id === entry,
  );
}

/** What an entry of an allow-list has to look like. */
export const spiffePattern = /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*(\/\*)?$/;

/**
 * The names in Node's text form, `DNS:a, URI:b`. A name that could be mistaken for a list is quoted there as a JSON
 * string: it is skipped whole, so that `DNS:"x, URI:spiffe://..."` names nobody.
 */
function altNames(text: string): string[] {
  return text.match(/[^:,\s]+:(?:"(?:[^"\\]|\\.)*"|[^,]*)/g) ?? [];
}
