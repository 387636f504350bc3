// Buffers for source bytes, reused once their batch is delivered. A fresh 256 KiB buffer costs more in page
// faults than reading the file into it.

declare global {
  /** Node's own fast paths, which its type package leaves out. Ends are exclusive. */
  interface Buffer {
    utf8Slice(start: number, end: number): string;
    latin1Slice(start: number, end: number): string;
    utf8Write(text: string, offset: number, length?: number): number;
    latin1Write(text: string, offset: number, length?: number): number;
  }
}

/** Bytes that may be read beyond the end of any buffer from here: scanners look at four bytes at a time. */
export const slackBytes = 64;

const smallest = 15;
const largest = 24;
/** Kept per size class, at least some: beyond that buffers go to the garbage collector. */
const keptBytesPerClass = 8 * 1024 * 1024;
const keptPerClassMin = 2;

export class BufferPool {
  readonly #free: Buffer[][] = Array.from({ length: largest + 1 }, () => []);

  /** A buffer of at least `bytes` + slackBytes, with undefined content. */
  take(bytes: number): Buffer {
    const size = bytes + slackBytes;
    const shift = Math.max(smallest, 32 - Math.clz32(size - 1));
    if (shift > largest) return Buffer.allocUnsafeSlow(size);
    return this.#free[shift]!.pop() ?? Buffer.allocUnsafeSlow(2 ** shift);
  }

  /** Gives back the buffer that these bytes are a part of. */
  giveWhole(part: Buffer): void {
    this.give(Buffer.from(part.buffer as ArrayBuffer));
  }

  /** Gives a buffer back. Nobody may read or write it afterwards. */
  give(buffer: Buffer): void {
    const shift = 31 - Math.clz32(buffer.length);
    if (shift < smallest || shift > largest || buffer.length !== 2 ** shift) return;
    const free = this.#free[shift]!;
    if (free.length < keptPerClassMin || free.length << shift < keptBytesPerClass) {
      free.push(buffer);
    }
  }
}

/** The pool of the process: buffers carry no state, so that sharing it couples nothing but memory. */
export const buffers = new BufferPool();

/** The same bytes, for reading and writing numbers. */
export function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
