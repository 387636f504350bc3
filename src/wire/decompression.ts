// Messages that were compressed, taken apart a few at a time: what comes out may be a thousand times as long.

import { promisify } from 'node:util';
import { gunzip, inflate, zstdDecompress } from 'node:zlib';

/** Rejects when the bytes are not of this encoding, or with ERR_BUFFER_TOO_LARGE. */
export type Decompress = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

/** By the names that gRPC and HTTP have for them. */
export const decompressors: ReadonlyMap<string, Decompress> = new Map<string, Decompress>([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['zstd', promisify(zstdDecompress)],
]);

/** There are no more threads for it. All at once, each would have part of its output in memory, and none be done. */
const atOnceMax = 4;

/** The turns of one server. */
export class Decompression {
  #running = 0;
  readonly #waiting = new Map<object, () => void>();

  /** What `work` comes to, once it is `owner`'s turn. That lasts until it has settled. */
  async turn<T>(owner: object, work: () => Promise<T>): Promise<T> {
    if (this.#running < atOnceMax) this.#running++;
    else await new Promise<void>((go) => this.#waiting.set(owner, go));
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  /** Whoever waits for its turn needs none. */
  leave(owner: object): void {
    this.#waiting.delete(owner);
  }

  #next(): void {
    for (const [owner, go] of this.#waiting) {
      this.#waiting.delete(owner);
      return go();
    }
    this.#running--;
  }
}
