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
