// How far a queue is delivered: two slots of one small file, written in turn, so that one of them is always whole. The
// file has its full size from the start: it can be written on a full disk.

import { closeSync, fdatasync, openSync, readFileSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';

/** A place in the queue: everything before it is delivered. */
export type Position = { readonly segment: number; readonly offset: number };

const sync = promisify(fdatasync);
const slotBytes = 512;
/** Of the folder's files. A newer one is not touched: it may hold what this program would take for damage. */
const format = 1;
const checkedBytes = 28;

/** The frontier on disk. `write` is synchronous: one of 512 bytes into the page cache costs less than a thread's round trip. */
export class StateFile {
  readonly #descriptor: number;
  #generation = 0;
  readonly #slot = Buffer.alloc(slotBytes);

  /** The position that the file holds; undefined when it is new or both slots are damaged. */
  readonly initial: Position | undefined;
  /** Whether there was a file, readable or not. */
  readonly existed: boolean;

  constructor(path: string) {
    const bytes = contentOf(path);
    const newest = newestSlot(bytes);
    this.initial = newest?.position;
    this.#generation = newest?.generation ?? 0;
    this.existed = bytes.length > 0;
    if ((newest?.format ?? format) > format) {
      throw new Error(
        `the queue state ${path} has format ${newest?.format}, written by a newer meshlog; this one knows ${format}`,
      );
    }
    this.#descriptor = openSync(path, bytes.length === 0 ? 'w+' : 'r+', 0o600);
    const missing = Buffer.alloc(Math.max(0, 2 * slotBytes - bytes.length));
    try {
      if (missing.length > 0) writeSync(this.#descriptor, missing, 0, null, bytes.length);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Survives a kill of the process at once; a power cut after `sync`. */
  write({ segment, offset }: Position): void {
    this.#generation++;
    const slot = this.#slot;
    slot.writeDoubleLE(this.#generation, 0);
    slot.writeDoubleLE(segment, 8);
    slot.writeDoubleLE(offset, 16);
    slot.writeUInt32LE(format, 24);
    slot.writeUInt32LE(crc32(slot.subarray(0, checkedBytes)), checkedBytes);
    writeSync(this.#descriptor, slot, 0, slotBytes, (this.#generation % 2) * slotBytes);
  }

  sync(): Promise<void> {
    return sync(this.#descriptor);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** The position that a state file holds, without opening it for writing. */
export function readPosition(path: string): Position | undefined {
  return newestSlot(contentOf(path))?.position;
}

function contentOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return Buffer.alloc(0);
  }
}

type Slot = {
  readonly generation: number;
  readonly position: Position;
  readonly format: number;
};

function newestSlot(bytes: Buffer): Slot | undefined {
  const slots = [readSlot(bytes, 0), readSlot(bytes, slotBytes)];
  return slots.filter((slot) => slot !== undefined).sort((a, b) => b.generation - a.generation)[0];
}

function readSlot(bytes: Buffer, at: number): Slot | undefined {
  if (
    bytes.length < at + checkedBytes + 4 ||
    bytes.readUInt32LE(at + checkedBytes) !== crc32(bytes.subarray(at, at + checkedBytes))
  ) {
    return undefined;
  }
  const generation = bytes.readDoubleLE(at);
  if (generation === 0) return undefined;
  return {
    generation,
    format: bytes.readUInt32LE(at + 24),
    position: { segment: bytes.readDoubleLE(at + 8), offset: bytes.readDoubleLE(at + 16) },
  };
}
