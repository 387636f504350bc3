// Certificates of outgoing connections, read again while the process lives.

import type { ConnectionOptions } from 'node:tls';
import { clientOptions } from '../../wire/tls.ts';
import type { Target } from './target.ts';

/** How often the files are looked at again. */
const intervalMs = 30_000;

type TlsFilesOptions = {
  readonly target: Target;
  readonly baseDirectory: string;
  readonly now: () => number;
};

/** The TLS options of a target, undefined for plain text. `load` before use. */
export class TlsFiles {
  readonly #options: TlsFilesOptions;
  #readMs = 0;
  current: ConnectionOptions | undefined;

  constructor(options: TlsFilesOptions) {
    this.#options = options;
  }

  /** Reads the files. Rejects when they cannot be used; true: they are others than before. */
  async load(): Promise<boolean> {
    const { target, baseDirectory, now } = this.#options;
    if (target.tls === undefined) return false;
    this.#readMs = now();
    const host = target.address.kind === 'tcp' ? target.address.host : 'localhost';
    const found = await clientOptions(target.tls, { baseDirectory, host });
    if (this.current !== undefined && same(this.current, found)) return false;
    this.current = found;
    return true;
  }

  /** Whether it is time to `refresh`. */
  get isDue(): boolean {
    const { target, now } = this.#options;
    return target.tls !== undefined && now() - this.#readMs >= intervalMs;
  }

  /** Reads the files when it is time to. What cannot be read just now leaves the old ones in use. */
  async refresh(): Promise<boolean> {
    if (!this.isDue) return false;
    return this.load().catch(() => false);
  }
}

function same(a: ConnectionOptions, b: ConnectionOptions): boolean {
  return (['ca', 'cert', 'key'] as const).every((part) => String(a[part]) === String(b[part]));
}
