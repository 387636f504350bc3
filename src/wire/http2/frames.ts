// Frames of HTTP/2 (RFC 9113, sections 4, 6 and 7).

export const frameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** What a client says before its frames. */
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export const flag = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

export const errorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const;

/** A code as people know it. */
export function errorName(code: number): string {
  for (const [name, known] of Object.entries(errorCode)) if (known === code) return name;
  return `error ${code}`;
}

export const setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

export const frameHeadBytes = 9;
/** The least that every peer takes, and all that we take. */
export const frameBytesMax = 16_384;
export const windowMax = 2 ** 31 - 1;
/** Of a stream and of a connection before anybody says anything. */
export const windowDefault = 65_535;

const firstBytes = 512;
const keptBytesMax = 64 * 1024;

/** Frames that wait to be sent together. */
export class FrameWriter {
  #bytes = Buffer.allocUnsafeSlow(firstBytes);
  length = 0;

  /** Begins a frame; its payload of `length` bytes follows. */
  head(type: number, flags: number, stream: number, length: number): void {
    const at = this.#room(frameHeadBytes);
    writeHead(this.#bytes, at, { type, flags, stream, length });
  }

  uint32(value: number): void {
    const at = this.#room(4);
    this.#bytes.writeUInt32BE(value, at);
  }

  bytes(bytes: Buffer, start = 0, end = bytes.length): void {
    const at = this.#room(end - start);
    bytes.copy(this.#bytes, at, start, end);
  }

  /** Frames that were made before, for another stream: it is named at these places. */
  patched(frames: Buffer, streamAt: readonly number[], stream: number): void {
    const at = this.#room(frames.length);
    frames.copy(this.#bytes, at);
    for (const offset of streamAt) this.#bytes.writeUInt32BE(stream, at + offset);
  }

  /** What waits, in bytes of its own; then nothing waits. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.length));
    this.length = 0;
    if (this.#bytes.length > keptBytesMax) this.#bytes = Buffer.allocUnsafeSlow(firstBytes);
    return taken;
  }

  /** Where the next so many bytes go. */
  #room(bytes: number): number {
    const at = this.length;
    const length = at + bytes;
    if (length > this.#bytes.length) {
      const longer = Buffer.allocUnsafeSlow(Math.max(length, this.#bytes.length * 2));
      this.#bytes.copy(longer, 0, 0, at);
      this.#bytes = longer;
    }
    this.length = length;
    return at;
  }
}

export function writeHead(
  to: Buffer,
  at: number,
  { type, flags, stream, length }: { type: number; flags: number; stream: number; length: number },
): void {
  to.writeUIntBE(length, at, 3);
  to[at + 3] = type;
  to[at + 4] = flags;
  to.writeUInt32BE(stream, at + 5);
}

/** Headers as literals that nobody remembers, so that the block is the same on every connection. */
export function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  return literals(headers, 0);
}

/** The same for headers with secrets: nobody who passes them on may remember them either. */
export function secretHeaderBlock(headers: Readonly<Record<string, string>>): Buffer {
  return literals(headers, 0x10);
}

function literals(headers: Readonly<Record<string, string>>, representation: number): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(headers)) {
    parts.push(Buffer.from([representation]), text(name), text(value));
  }
  return Buffer.concat(parts);
}

/** A text with its length in front (RFC 7541, section 5). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let left = bytes.length - 127;
    for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128);
    length.push(left);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
