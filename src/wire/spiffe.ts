// SPIFFE identities of peers: who a workload is, as its certificate says.

import type { PeerCertificate } from 'node:tls';
import { z } from 'zod';

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

/** The field `allowed_spiffe_ids` of whoever listens. The schema that has it also has the rule `areProven`. */
export function spiffeIds() {
  return z
    .array(z.string().regex(spiffePattern, 'expected spiffe://trust-domain/path'))
    .default([])
    .describe(
      'With tls.client_ca_file: only peers with one of these identities; `/*` at the end covers what is below.',
    );
}

type MaybeTls = { readonly client_ca_file?: string | undefined } | undefined;

/** Whoever asks for identities also has to ask for certificates, on each listener. For `refine`, with `unproven`. */
export function areProven(ids: readonly string[], listeners: readonly MaybeTls[]): boolean {
  if (ids.length === 0) return true;
  return listeners.length > 0 && listeners.every((tls) => tls?.client_ca_file !== undefined);
}

export const unproven = {
  path: ['allowed_spiffe_ids'],
  message: 'needs tls.client_ca_file on every listener: without it no peer shows an identity',
};

/**
 * The names in Node's text form, `DNS:a, URI:b`. A name that could be mistaken for a list is quoted there as a JSON
 * string: it is skipped whole, so that `DNS:"x, URI:spiffe://..."` names nobody.
 */
function altNames(text: string): string[] {
  return text.match(/[^:,\s]+:(?:"(?:[^"\\]|\\.)*"|[^,]*)/g) ?? [];
}
