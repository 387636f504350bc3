// What both listeners do about connections: certificates, and what to say of those that are refused.

import type { Context } from '../../pipeline/component.ts';
import { type Address, plainTextWarning } from '../../wire/address.ts';
import type { CertificateSource } from '../../wire/certificates.ts';
import { type ServerTls, serverCertificates } from '../../wire/tls.ts';
import type { Intake } from './intake.ts';
import type { OtlpReceiverConfig } from './otlp.ts';

export type ListenerParts = {
  readonly settings: OtlpReceiverConfig;
  readonly context: Context;
  readonly intake: Intake;
};

export type LoadedTls = { readonly settings: ServerTls; readonly certificates: CertificateSource };

/** Requests under way may take so long once the receiver stops. */
export const stopGraceMs = 10_000;

/** Refused identities that are named in the log, each once. */
const namedMax = 20;

export async function loadTls(
  tls: ServerTls | undefined,
  { baseDirectory, log }: Context,
): Promise<LoadedTls | undefined> {
  if (tls === undefined) return undefined;
  return { settings: tls, certificates: await serverCertificates(tls, { baseDirectory, log }) };
}

export function warnOfPlainText(address: Address, hasTls: boolean, context: Context): void {
  const warning = plainTextWarning(address, hasTls);
  if (warning !== undefined) context.log.warn(warning);
}

/** Counts connections that are closed at once, and names strangers, each once. */
export function refusals(
  context: Context,
): (reason: 'limit' | 'tls' | 'identity' | 'protocol', peer?: string) => void {
  const named = new Set<string>();
  return (reason, peer) => {
    context.metrics
      .counter(
        'meshlog_receiver_connections_refused_total',
        'Connections closed at once: too many, a failed TLS handshake, or an identity not allowed.',
        { receiver: context.id, reason },
      )
      .add(1);
    if (peer === undefined || named.has(peer) || named.size >= namedMax) return;
    named.add(peer);
    context.log.warn(`refuses ${peer}: not in allowed_spiffe_ids`);
  };
}
