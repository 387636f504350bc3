// TLS as the configuration words it, turned into what node:tls and node:http2 take.

import { isIP } from 'node:net';
import { resolve } from 'node:path';
import {
  type ConnectionOptions,
  checkServerIdentity,
  type SecureVersion,
  type Server,
  type TlsOptions,
} from 'node:tls';
import {
  type CertificateEvents,
  CertificateSource,
  readCertificates,
  readPem,
} from './certificates.ts';

/** The shape of `tlsServer()` of the configuration. */
export type ServerTls = {
  readonly cert_file: string;
  readonly key_file: string;
  readonly client_ca_file?: string | undefined;
  readonly min_version: '1.2' | '1.3';
  readonly max_version?: '1.2' | '1.3' | undefined;
  readonly reload_interval: number;
};

/** The shape of `tlsClient()` of the configuration. */
export type ClientTls = {
  readonly insecure: boolean;
  readonly insecure_skip_verify: boolean;
  readonly ca_file?: string | undefined;
  readonly cert_file?: string | undefined;
  readonly key_file?: string | undefined;
  readonly server_name_override?: string | undefined;
  readonly min_version: '1.2' | '1.3';
  readonly max_version?: '1.2' | '1.3' | undefined;
};

type Say = { info(message: string): void; warn(message: string): void };

/** Loads a listener's certificates and keeps them fresh. Rejects when they cannot serve. `close` it after use. */
export async function serverCertificates(
  tls: ServerTls,
  options: { baseDirectory: string; log: Say },
): Promise<CertificateSource> {
  const at = (file: string): string => resolve(options.baseDirectory, file);
  const events: CertificateEvents = {
    reloaded: () => options.log.info(`uses the new certificate from ${tls.cert_file}`),
    refused: (reason) => options.log.warn(`goes on with the old certificate: ${reason}`),
  };
  const source = new CertificateSource(
    {
      cert: at(tls.cert_file),
      key: at(tls.key_file),
      ca: tls.client_ca_file === undefined ? undefined : at(tls.client_ca_file),
    },
    events,
  );
  await source.load();
  source.watch(tls.reload_interval);
  return source;
}

/** Options of tls.createServer and http2.createSecureServer. */
export function serverOptions(tls: ServerTls, source: CertificateSource): TlsOptions {
  const requestCert = tls.client_ca_file !== undefined;
  return { ...secure(tls, source), requestCert, rejectUnauthorized: requestCert };
}

/** Gives new certificates to a running server: connections that exist go on. Returns the end of it. */
export function keepFresh(server: Server, tls: ServerTls, source: CertificateSource): () => void {
  return source.subscribe(() => server.setSecureContext(secure(tls, source)));
}

/**
 * Options of tls.connect for the host of an endpoint. Files are read anew at each call, so that every new connection
 * uses the certificates of its time.
 */
export async function clientOptions(
  tls: ClientTls,
  options: { baseDirectory: string; host: string },
): Promise<ConnectionOptions> {
  const at = (file: string): string => resolve(options.baseDirectory, file);
  const ca = tls.ca_file === undefined ? undefined : await readPem(at(tls.ca_file));
  const own =
    tls.cert_file === undefined || tls.key_file === undefined
      ? undefined
      : await readCertificates({ cert: at(tls.cert_file), key: at(tls.key_file) });
  const name = tls.server_name_override ?? options.host;
  return {
    ...versions(tls),
    rejectUnauthorized: !tls.insecure_skip_verify,
    ...(ca === undefined ? {} : { ca }),
    ...(own === undefined ? {} : { cert: own.cert, key: own.key }),
    // Server name indication carries names only; addresses are checked all the same.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  };
}

function secure(tls: ServerTls, source: CertificateSource): TlsOptions {
  const { cert, key, ca } = source.current;
  return { cert, key, ...(ca === undefined ? {} : { ca }), ...versions(tls) };
}

type Versions = { minVersion: SecureVersion; maxVersion?: SecureVersion };

function versions(tls: Pick<ServerTls, 'min_version' | 'max_version'>): Versions {
  const named = { '1.2': 'TLSv1.2', '1.3': 'TLSv1.3' } as const;
  const minVersion = named[tls.min_version];
  if (tls.max_version === undefined) return { minVersion };
  return { minVersion, maxVersion: named[tls.max_version] };
}
