// One chunk of one file: read, checked, split into lines and made a batch. Moves the place of reading.

import { read as readLater, readSync } from 'node:fs';
import { Lines } from '../../encoding/lines.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { slackBytes } from '../../pipeline/buffers.ts';
import type { Context } from '../../pipeline/component.ts';
import type { BatchMaker } from './chunk.ts';
import type { Counters } from './counters.ts';
import { GzipSource } from './gzip_source.ts';
import type { Handles } from './handles.ts';
import { fingerprintOf, idOf, startsWith, tailBytes } from './identity.ts';
import type { Known } from './known.ts';
import type { Settings } from './settings.ts';
import type { Tailed } from './tailed.ts';

/**
 * What was written lately is in memory, and reading it at once costs less than half of reading it in another thread.
 * A read that took longer came from a slow disk: then so many reads do not hold up the process.
 */
const slowReadMs = 4;
const readsLater = 64;
const rowsMax = 8192;
/** A file that begins with so many NUL bytes begins with a hole. */
const holeBytesMin = 512;

export type ReaderOptions = {
  readonly settings: Settings;
  readonly context: Context;
  readonly counters: Counters;
  readonly known: Known;
  readonly handles: Handles;
  readonly maker: BatchMaker;
};

/** What reading a chunk came to. */
export type Outcome = {
  /** Lines; the batch has taken over the buffer. */
  readonly batch: Batch | undefined;
  /** There is more to read at once. */
  readonly more: boolean;
  /** The file does not continue what was read of it before. */
  readonly emptied: boolean;
};

const nothing: Outcome = { batch: undefined, more: false, emptied: false };
const onlyMore: Outcome = { batch: undefined, more: true, emptied: false };
const emptied: Outcome = { batch: undefined, more: false, emptied: true };

export class Reader {
  readonly #options: ReaderOptions;
  readonly #lines = new Lines(rowsMax);
  #readsLater = 0;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /** Reads on in an open file, into `buffer`. Throws what reading throws. */
  async read(file: Tailed, buffer: Buffer): Promise<Outcome> {
    const overlap = file.tail.length;
    const from = file.position - overlap;
    const length = buffer.length - slackBytes;
    const count = await this.#bytes(file, buffer, length, from);
    if (!isContinued(file, buffer.subarray(0, count))) {
      // A compressed file that is being written anew is shorter for a while.
      return file.compressed && count <= overlap ? nothing : emptied;
    }
    this.#options.counters.readBytes.add(count - overlap);
    file.readMs = this.#options.context.now();
    file.seenMs = file.readMs;
    file.seenBytes = from + count;
    if (this.#passHole(file, buffer, overlap, count)) return onlyMore;
    const full = count === length;
    const rest = this.#split(file, buffer, overlap, count, full);
    if (rest === overlap) {
      if (full) this.#wantMore(file, buffer);
      else this.#atEnd(file, rest === count);
      return full ? onlyMore : nothing;
    }
    this.#advance(file, buffer, from, rest);
    const batch = this.#options.maker.make(file, this.#lines, buffer, rest, from);
    const more = full || this.#lines.count === rowsMax || (isEnded(file) && rest < count);
    if (!more) this.#atEnd(file, rest === count);
    return { batch, more, emptied: false };
  }

  #bytes(file: Tailed, into: Buffer, length: number, from: number): number | Promise<number> {
    const fd = file.fd ?? -1;
    if (file.compressed) {
      file.gzip ??= new GzipSource(fd);
      return file.gzip.read(into, length, from);
    }
    if (this.#readsLater > 0) {
      this.#readsLater--;
      return new Promise((resolve, reject) => {
        readLater(fd, into, 0, length, from, (error, count) =>
          error === null ? resolve(count) : reject(error),
        );
      });
    }
    const startMs = performance.now();
    const count = readSync(fd, into, 0, length, from);
    if (performance.now() - startMs > slowReadMs) this.#readsLater = readsLater;
    return count;
  }

  /**
   * A writer that does not append leaves a hole before what it writes after a truncation: NUL bytes that nobody wrote.
   * True when the chunk began with one, which is now behind.
   */
  #passHole(file: Tailed, buffer: Buffer, overlap: number, count: number): boolean {
    if (count === overlap || buffer[overlap] !== 0) return false;
    if (!file.mayBeHole && file.position > 0) return false;
    let at = overlap;
    while (at < count && buffer[at] === 0) at++;
    if (at - overlap < holeBytesMin && !file.mayBeHole) return false;
    file.mayBeHole = at === count;
    file.tail = Uint8Array.prototype.slice.call(buffer, Math.max(0, at - tailBytes), at);
    file.position += at - overlap;
    return true;
  }

  /** Lines of the chunk into `#lines`; where the unfinished rest begins. */
  #split(file: Tailed, buffer: Buffer, start: number, count: number, full: boolean): number {
    const { limit } = this.#options.maker;
    const lines = this.#lines;
    lines.skipping = file.skipping;
    let rest = lines.split(buffer, start, count, limit);
    if (rest === start && !full && isEnded(file)) {
      rest = lines.finish(buffer, start, count, limit);
    }
    file.skipping = lines.skipping;
    return rest;
  }

  #wantMore(file: Tailed, buffer: Buffer): void {
    const { bytesMax } = this.#options.maker.limit;
    file.wantBytes = Math.min(2 * buffer.length, bytesMax + 2 + tailBytes);
  }

  #atEnd(file: Tailed, complete: boolean): void {
    if (!complete) return;
    file.last = false;
    if (file.gzip?.ended !== true) return;
    file.finished = true;
    this.#options.known.dirty.add(file);
    this.#options.handles.close(file);
  }

  /** Moves the place of reading to `rest`, and gets the chunk ready to be somebody else's. */
  #advance(file: Tailed, buffer: Buffer, from: number, rest: number): void {
    const overlap = file.tail.length;
    file.wantBytes = 0;
    file.mayBeHole = false;
    file.position = from + rest;
    file.tail = Uint8Array.prototype.slice.call(buffer, Math.max(0, rest - tailBytes), rest);
    // Half a character left at the start would make the whole batch invalid UTF-8.
    buffer.fill(0, 0, overlap);
    if (!file.compressed) this.#recognise(file);
  }

  /** Gives the file its name, and a longer fingerprint while it is short. */
  #recognise(file: Tailed): void {
    const { known, settings } = this.#options;
    const headBytes = settings.fingerprint_size;
    if (file.id !== '' && file.fingerprint.bytes === headBytes) return;
    const bytes = Buffer.allocUnsafe(headBytes);
    const head = bytes.subarray(0, readSync(file.fd ?? -1, bytes, 0, headBytes, 0));
    if (file.id === '') file.id = idOf(file, head);
    if (head.length > file.fingerprint.bytes) known.setFingerprint(file, fingerprintOf(head));
  }
}

/** Whether nothing will follow what can be read now, so that the unfinished last line is one. */
function isEnded(file: Tailed): boolean {
  return file.last || (file.gzip?.ended ?? false);
}

/**
 * Whether a chunk begins as it has to: with the bytes that were read last, which come along with every read, or at the
 * very start with those that were seen when the file was found. Otherwise it is not the same file any more.
 */
function isContinued(file: Tailed, chunk: Buffer): boolean {
  const { tail, fingerprint } = file;
  if (file.position === 0) return fingerprint.bytes === 0 || startsWith(chunk, fingerprint);
  return chunk.length >= tail.length && chunk.subarray(0, tail.length).equals(tail);
}
