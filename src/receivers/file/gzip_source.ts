// A gzip file as the bytes inside it, read forwards.

import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';

const pieceBytes = 256 * 1024;

/**
 * Reads at positions that do not go backwards by more than what the last read began with; going further back starts
 * over. Holds what lies between the last position and how far decompression has come.
 */
export class GzipSource {
  /** The file has come to its proper end: what has not been read by then is the rest. */
  ended = false;
  readonly #fd: number;
  #stream: Gunzip | undefined;
  #pieces: AsyncIterator<Buffer> | undefined;
  #held: Buffer[] = [];
  #heldFrom = 0;
  #heldBytes = 0;

  /** `fd` stays open: it belongs to the caller and outlives this. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Copies up to `length` bytes from `position` on; fewer only at the end, or where the file is not complete yet. */
  async read(into: Buffer, length: number, position: number): Promise<number> {
    if (this.#pieces === undefined || position < this.#heldFrom) this.#restart();
    this.#forget(position);
    while (this.#heldFrom + this.#heldBytes < position + length && !this.ended) {
      const piece = await this.#next();
      if (piece === undefined) break;
      this.#held.push(piece);
      this.#heldBytes += piece.length;
      this.#forget(position);
    }
    return this.#copy(into, length, position);
  }

  close(): void {
    this.#stream?.destroy();
    this.#stream = undefined;
    this.#pieces = undefined;
    this.#held = [];
    this.#heldFrom = 0;
    this.#heldBytes = 0;
  }

  #restart(): void {
    this.close();
    this.ended = false;
    const stream = createGunzip({ chunkSize: pieceBytes });
    const file = createReadStream('', { fd: this.#fd, autoClose: false, start: 0 });
    // Failures arrive at the iterator.
    pipeline(file, stream, () => undefined);
    this.#stream = stream;
    this.#pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The next piece; undefined at the end. A file that stops in the middle may still be growing. */
  async #next(): Promise<Buffer | undefined> {
    try {
      const result = await this.#pieces?.next();
      if (result === undefined || result.done === true) {
        this.ended = true;
        return undefined;
      }
      return result.value;
    } catch (error) {
      const from = this.#heldFrom;
      const held = this.#held;
      const bytes = this.#heldBytes;
      this.close();
      if ((error as NodeJS.ErrnoException).code !== 'Z_BUF_ERROR') throw error;
      // What is there can be read; the next read starts over, by when the file may have grown.
      this.#heldFrom = from;
      this.#held = held;
      this.#heldBytes = bytes;
      return undefined;
    }
  }

  #forget(position: number): void {
    for (;;) {
      const first = this.#held[0];
      if (first === undefined || this.#heldFrom + first.length > position) return;
      this.#held.shift();
      this.#heldFrom += first.length;
      this.#heldBytes -= first.length;
    }
  }

  #copy(into: Buffer, length: number, position: number): number {
    let copied = 0;
    let skip = position - this.#heldFrom;
    for (const piece of this.#held) {
      if (skip < 0 || copied === length) break;
      const count = Math.min(piece.length - skip, length - copied);
      piece.copy(into, copied, skip, skip + count);
      copied += count;
      skip = 0;
    }
    return copied;
  }
}
