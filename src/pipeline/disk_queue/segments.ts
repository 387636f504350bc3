// The files of a queue: NNNNNNNNNNNNNNNN.seg, appended to by one writer, read in order, removed once delivered.

import { type FileHandle, open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { slackBytes } from '../buffers.ts';
import { faultPoint } from '../fault.ts';
import { type FrameHeader, headerBytes, nextHeader, readHeader } from './frame.ts';
import type { Position } from './state.ts';

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

/** The segment files of one folder. One writer, one reader, in one process. */
export class Segments {
  readonly #folder: string;
  /** Bytes of each file, those in front of the reader included: what the queue takes on disk. */
  readonly sizes = new Map<number, number>();
  #writer: { segment: number; file: FileHandle; offset: number } | undefined;
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
   * Appends frames and forces them to disk. When it rejects, the file is as it was before; the caller may try again.
   * Begins a new file when the current one would exceed `bytesMax`.
   */
  async append(frames: readonly Buffer[], bytesMax: number): Promise<void> {
    let writer = this.#writer;
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    if (writer === undefined || (writer.offset > 0 && writer.offset + bytes > bytesMax)) {
      writer = await this.#roll();
    }
    const { file, offset, segment } = writer;
    faultPoint('before_persist');
    try {
      await writeAll(file, frames, offset);
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

  async #roll(): Promise<{ segment: number; file: FileHandle; offset: number }> {
    const last = [...this.sizes.keys()].at(-1) ?? 0;
    const segment = Math.max(last, this.#writer?.segment ?? 0) + 1;
    const file = await open(join(this.#folder, nameOf(segment)), 'wx', 0o600);
    faultPoint('segment_created');
    // Without this a power cut could lose the name of a file whose data is safe.
    const folder = await open(this.#folder, 'r');
    await folder.sync().finally(() => folder.close());
    await this.#writer?.file.close();
    this.#writer = { segment, file, offset: 0 };
    this.sizes.set(segment, 0);
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

  async #open(segment: number): Promise<FileHandle> {
    if (this.#reader?.segment === segment) return this.#reader.file;
    await this.#reader?.file.close();
    this.#reader = undefined;
    const file = await open(join(this.#folder, nameOf(segment)), 'r');
    this.#reader = { segment, file };
    return file;
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

async function writeAll(
  file: FileHandle,
  frames: readonly Buffer[],
  offset: number,
): Promise<void> {
  let at = offset;
  let rest = [...frames];
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest, at);
    at += bytesWritten;
    while (rest.length > 0 && bytesWritten >= (rest[0]?.length ?? 0)) {
      bytesWritten -= rest[0]?.length ?? 0;
      rest = rest.slice(1);
    }
    if (bytesWritten > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(bytesWritten);
  }
}

/** `length` bytes at `offset`, with slack behind them; fewer when the file ends before. */
async function readExactly(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length + slackBytes);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await file.read(buffer, got, length - got, offset + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return buffer.subarray(0, got);
}
