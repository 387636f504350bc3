// What a decompressor puts out: a growing buffer with a limit, in which it can also look back.

/** Why bytes cannot be decompressed. `code` is that of node:zlib when the output would be too large. */
export class DecompressionError extends Error {
  readonly code: 'ERR_BUFFER_TOO_LARGE' | 'ERR_BAD_DATA';

  constructor(message: string, code: DecompressionError['code'] = 'ERR_BAD_DATA') {
    super(message);
    this.name = 'DecompressionError';
    this.code = code;
  }
}

export class Output {
  readonly #bytesMax: number;
  #buffer: Buffer;
  length = 0;

  constructor(bytesMax: number, expected: number) {
    this.#bytesMax = bytesMax;
    this.#buffer = Buffer.allocUnsafe(Math.min(bytesMax, expected));
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  /** Bytes start..end of the input as they are. */
  literal(input: Buffer, start: number, end: number): void {
    if (end > input.length) throw new DecompressionError('the data ends in the middle');
    this.#reserve(end - start);
    input.copy(this.#buffer, this.length, start, end);
    this.length += end - start;
  }

  /** `count` bytes again that were put out `distance` bytes ago; the two may overlap. */
  copy(distance: number, count: number): void {
    if (distance < 1 || distance > this.length) {
      throw new DecompressionError('a copy from before the beginning');
    }
    this.#reserve(count);
    const buffer = this.#buffer;
    const from = this.length - distance;
    if (distance >= count) buffer.copyWithin(this.length, from, from + count);
    else for (let i = 0; i < count; i++) buffer[this.length + i] = buffer[from + i] as number;
    this.length += count;
  }

  #reserve(count: number): void {
    const needed = this.length + count;
    if (needed > this.#bytesMax) {
      throw new DecompressionError('the data is too large', 'ERR_BUFFER_TOO_LARGE');
    }
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(
      Math.min(this.#bytesMax, Math.max(needed, this.#buffer.length * 2)),
    );
    this.#buffer.copy(grown, 0, 0, this.length);
    this.#buffer = grown;
  }
}
