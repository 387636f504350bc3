// The files of a queue: NNNNNNNNNNNNNNNN.seg, appended to by one writer, read in order, removed once delivered.

import { type FileHandle, open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { faultPoint } from '../fault.ts';
import { syncFolder } from '../folder.ts';
import { type FrameHeader, headerBytes, nextHeader, readHeader } from './frame.ts';
import { countRecords, readExactly, writeAll } from './segment_file.ts';
import type { Position } from './state.ts';

const countingMs = 500;

const nameOf = (segment: number): string => `${String(segment).padStart(16, '0')}.seg`;

/** What reading at a position gives. */
export type ReadResult =
  | {
      readonly kind: 'frame';
      readonly header: FrameHeader;
      readonly payload: Buffer;
      readonly next: Position;
    }
  | {
      readonly kind: 'damaged';
      readonly bytes: number;
      readonly records: number;
      /** True: the file ends here, as it does when a write was cut off. */
      readonly torn: boolean;
      readonly next: Position;
    }
  | { readonly kind: 'end' };

type Writer = { segment: number; file: FileHandle; offset: number };

/** The segment files of one folder. One writer, one reader, in one process. */
export class Segments {
  readonly #folder: string;
  /** Bytes of each file, those in front of the reader included: what the queue takes on disk. */
  readonly sizes = new Map<number, number>();
  #writer: Writer | undefined;
  #after = 0;
  #reader: { segment: number; file: FileHandle } | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<Segments> {
    const segments = new Segments(folder);
    const names = (await readdir(folder)).filter((name) => /^\d{16}\.seg$/.test(name)).sort();
    for (const name of names) {
      const { size } = await stat(join(folder, name));
      segments.sizes.set(Number(name.slice(0, 16)), size);
    }
    return segments;
  }

  /** Bytes that all files take. */
  get totalBytes(): number {
    let sum = 0;
    for (const size of this.sizes.values()) sum += size;
    return sum;
  }

  /** Bytes committed after a position. */
  bytesAfter({ segment, offset }: Position): number {
    let bytes = 0;
    for (const [one, size] of this.sizes) {
      if (one > segment) bytes += size;
      else if (one === segment) bytes += Math.max(0, size - offset);
    }
    return bytes;
  }

  get first(): number | undefined {
    return this.sizes.keys().next().value;
  }

  /** The end of what is committed: the reader stops there. Without a writer, the end of the last file. */
  get end(): Position {
    const writer = this.#writer;
    if (writer !== undefined) return { segment: writer.segment, offset: writer.offset };
    const [last] = [...this.sizes].slice(-1);
    return { segment: last?.[0] ?? 0, offset: last?.[1] ?? 0 };
  }

  /**
   * Appends the parts of frames and forces them to disk. When it rejects, the file is as it was before; the caller may try again.
   * Begins a new file when the current one would exceed `bytesMax`.
   */
  async append(parts: readonly Buffer[], bytesMax: number): Promise<void> {
    let writer = this.#writer;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (writer === undefined || (writer.offset > 0 && writer.offset + bytes > bytesMax)) {
      writer = await this.#roll();
    }
    const { file, offset, segment } = writer;
    faultPoint('before_persist');
    try {
      await writeAll(file, parts, offset);
      faultPoint('before_commit');
      await file.datasync();
    } catch (error) {
      await file.truncate(offset).catch(() => undefined);
      throw error;
    }
    faultPoint('after_commit');
    writer.offset = offset + bytes;
    this.sizes.set(segment, writer.offset);
  }

  /** Begins a new file behind all that are there, and behind segment `after`. */
  async begin(after: number): Promise<void> {
    this.#after = after;
    await this.#roll();
  }

  async #roll(): Promise<Writer> {
    const last = [...this.sizes.keys()].at(-1) ?? 0;
    const segment = Math.max(last, this.#after, this.#writer?.segment ?? 0) + 1;
    faultPoint('before_rotate');
    const file = await open(join(this.#folder, nameOf(segment)), 'wx', 0o600);
    // From here on the name is taken, whatever fails below.
    this.sizes.set(segment, 0);
    try {
      // Without this a power cut could lose the name of a file whose data is safe.
      await syncFolder(this.#folder);
    } catch (error) {
      await file.close();
      throw error;
    }
    faultPoint('after_rotate');
    await this.#writer?.file.close();
    this.#writer = { segment, file, offset: 0 };
    return this.#writer;
  }

  /** So that the next append begins a new file and the current one can be removed. */
  async seal(): Promise<void> {
    if ((this.#writer?.offset ?? 0) > 0) await this.#roll();
  }

  /** The frame at `from`, or why there is none. A damaged stretch is skipped up to the next whole header. */
  async read(from: Position): Promise<ReadResult> {
    const { end } = this;
    let at = from;
    for (;;) {
      if (at.segment > end.segment || (at.segment === end.segment && at.offset >= end.offset)) {
        return { kind: 'end' };
      }
      const size = this.sizes.get(at.segment);
      if (size !== undefined && at.offset < size) break;
      const next = [...this.sizes.keys()].find((segment) => segment > at.segment);
      if (next === undefined) return { kind: 'end' };
      at = { segment: next, offset: 0 };
    }
    return this.#readAt(at, this.sizes.get(at.segment) ?? 0);
  }

  async #readAt(at: Position, size: number): Promise<ReadResult> {
    const file = await this.#open(at.segment);
    if (file === undefined) {
      // Somebody has removed it: what was in it is gone, the rest goes on.
      const next = { segment: at.segment, offset: size };
      return { kind: 'damaged', bytes: size - at.offset, records: 0, torn: false, next };
    }
    const head = await readExactly(file, at.offset, Math.min(headerBytes, size - at.offset));
    const header = readHeader(head);
    const frameEnd = at.offset + headerBytes + (header?.length ?? 0);
    if (header === undefined || frameEnd > size) return this.#skip(file, at, size);
    const payload = await readExactly(file, at.offset + headerBytes, header.length);
    const next = { segment: at.segment, offset: frameEnd };
    if (crc32(payload) !== header.payloadCrc) {
      const bytes = header.length + headerBytes;
      return { kind: 'damaged', bytes, records: header.records, torn: false, next };
    }
    return { kind: 'frame', header, payload, next };
  }

  async #skip(file: FileHandle, at: Position, size: number): Promise<ReadResult> {
    const step = 1 << 20;
    for (let offset = at.offset + 1; offset < size; offset += step) {
      const bytes = await readExactly(file, offset, Math.min(step + headerBytes, size - offset));
      const found = nextHeader(bytes, 0);
      if (found < 0) continue;
      const next = { segment: at.segment, offset: offset + found };
      return { kind: 'damaged', bytes: next.offset - at.offset, records: 0, torn: false, next };
    }
    const next = { segment: at.segment, offset: size };
    return { kind: 'damaged', bytes: size - at.offset, records: 0, torn: true, next };
  }

  /** Undefined: the file is gone. */
  async #open(segment: number): Promise<FileHandle | undefined> {
    if (this.#reader?.segment === segment) return this.#reader.file;
    await this.#reader?.file.close();
    this.#reader = undefined;
    try {
      const file = await open(join(this.#folder, nameOf(segment)), 'r');
      this.#reader = { segment, file };
      return file;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return undefined;
    }
  }

  /** Records in whole frames from `from` on, up to the end of segment `last`. Reads headers only, for a moment at most. */
  recordsAfter(from: Position, last = Number.POSITIVE_INFINITY): number {
    const giveUpMs = performance.now() + countingMs;
    let records = 0;
    for (const [segment, size] of this.sizes) {
      if (segment < from.segment || segment > last) continue;
      const offset = segment === from.segment ? from.offset : 0;
      if (offset >= size || performance.now() > giveUpMs) continue;
      records += countRecords(join(this.#folder, nameOf(segment)), { offset, size, giveUpMs });
    }
    return records;
  }

  /** Removes files without content: every start that found nothing to do has left one. */
  async removeEmpty(): Promise<void> {
    for (const [segment, size] of [...this.sizes]) {
      if (size > 0 || segment === this.#writer?.segment) continue;
      await unlink(join(this.#folder, nameOf(segment))).catch(() => undefined);
      this.sizes.delete(segment);
    }
  }

  /** Removes the files before `segment`. The frontier must be on disk. Returns whether any was removed. */
  async removeBefore(segment: number): Promise<boolean> {
    let removed = false;
    for (const one of [...this.sizes.keys()]) {
      if (one >= segment || one === this.#writer?.segment) continue;
      faultPoint('before_unlink');
      await unlink(join(this.#folder, nameOf(one))).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      faultPoint('after_unlink');
      this.sizes.delete(one);
      removed = true;
    }
    return removed;
  }

  async close(): Promise<void> {
    await this.#writer?.file.close();
    await this.#reader?.file.close();
    this.#writer = undefined;
    this.#reader = undefined;
  }
}
