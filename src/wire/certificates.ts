// Certificates that are read again from disk while connections live on.

import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

export type CertificateFiles = {
  readonly cert: string;
  readonly key: string;
  /** CA that client certificates (or, for a client, the server's) are checked against. */
  readonly ca?: string | undefined;
};

export type Certificates = {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
};

export type CertificateEvents = {
  /** New files are in use. */
  readonly reloaded?: () => void;
  /** New files cannot be used; the old ones stay in use. Said once per reason. */
  readonly refused?: (reason: string) => void;
};

type CaListener = (update: { caCertificate: Buffer } | null) => void;
type IdentityListener = (update: { certificate: Buffer; privateKey: Buffer } | null) => void;

/**
 * Key and certificates from files. `load` before use. Whoever wants to know of new ones subscribes; what does not fit
 * together is never published, so that a half-written renewal leaves the old files in use.
 *
 * Also a CertificateProvider of grpc-js (the four listener methods), for both its arguments:
 * `experimental.createCertificateProviderServerCredentials(source, source, requireClientCertificate)`.
 */
export class CertificateSource {
  readonly #files: CertificateFiles;
  readonly #events: CertificateEvents;
  readonly #listeners = new Set<(certificates: Certificates) => void>();
  readonly #grpc = new Map<CaListener | IdentityListener, () => void>();
  #current: Certificates | undefined;
  #timer: NodeJS.Timeout | undefined;
  #refusal = '';

  constructor(files: CertificateFiles, events: CertificateEvents = {}) {
    this.#files = files;
    this.#events = events;
  }

  /** Reads the files for the first time. Rejects when they cannot serve. */
  async load(): Promise<void> {
    this.#current = await readCertificates(this.#files);
  }

  /** Looks at the files again every `intervalMs`, until `close`. 0: never. */
  watch(intervalMs: number): void {
    if (intervalMs <= 0) return;
    this.#timer = setInterval(() => void this.refresh(), intervalMs);
    this.#timer.unref();
  }

  /** Looks at the files now. Never rejects. */
  async refresh(): Promise<void> {
    try {
      const found = await readCertificates(this.#files);
      this.#refusal = '';
      if (this.#current !== undefined && same(this.#current, found)) return;
      this.#current = found;
      for (const listener of this.#listeners) listener(found);
      this.#events.reloaded?.();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#refusal) this.#events.refused?.(reason);
      this.#refusal = reason;
    }
  }

  /** What is in use. `load` must have resolved. */
  get current(): Certificates {
    if (this.#current === undefined) throw new Error('certificates were not loaded');
    return this.#current;
  }

  subscribe(listener: (certificates: Certificates) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#addGrpc(listener, ({ ca }) => listener(ca === undefined ? null : { caCertificate: ca }));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#removeGrpc(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#addGrpc(listener, ({ cert, key }) => listener({ certificate: cert, privateKey: key }));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#removeGrpc(listener);
  }

  #addGrpc(listener: CaListener | IdentityListener, publish: (now: Certificates) => void): void {
    this.#grpc.set(listener, this.subscribe(publish));
    process.nextTick(() => {
      if (this.#grpc.has(listener) && this.#current !== undefined) publish(this.#current);
    });
  }

  #removeGrpc(listener: CaListener | IdentityListener): void {
    this.#grpc.get(listener)?.();
    this.#grpc.delete(listener);
  }
}

/** Reads the files and proves that they fit together. */
export async function readCertificates(files: CertificateFiles): Promise<Certificates> {
  const cert = await readPem(files.cert);
  const key = await readPem(files.key);
  const ca = files.ca === undefined ? undefined : await readPem(files.ca);
  try {
    createSecureContext(ca === undefined ? { cert, key } : { cert, key, ca });
  } catch (error) {
    throw new Error(`cannot use ${files.cert} with ${files.key}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { cert, key, ca };
}

/** A file that holds at least one PEM block. */
export async function readPem(file: string): Promise<Buffer> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const reason = code === 'ENOENT' ? 'no such file' : code;
    throw new Error(`cannot read ${file}: ${reason}`, { cause: error });
  }
  if (!content.includes('-----BEGIN ')) throw new Error(`cannot use ${file}: it is not PEM`);
  return content;
}

function same(a: Certificates, b: Certificates): boolean {
  const sameCa = a.ca === undefined ? b.ca === undefined : b.ca !== undefined && a.ca.equals(b.ca);
  return sameCa && a.cert.equals(b.cert) && a.key.equals(b.key);
}
