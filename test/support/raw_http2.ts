// HTTP/2 by hand, for peers that no library would let us be.

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const endStream = 1;
export const endHeaders = 4;
export const padded = 8;

export function frame(
  type: number,
  { flags = 0, stream = 0, payload = Buffer.alloc(0) }: Partial<Parts> = {},
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

type Parts = { flags: number; stream: number; payload: Buffer };

/** Settings by their number. */
export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  for (const [i, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return frame(frameType.settings, { payload });
}

/** Headers of a gRPC call to a path, each as a literal that is not remembered. */
export function headersFrame(
  stream: number,
  path: string,
  more: Readonly<Record<string, string>> = {},
): Buffer {
  const headers = {
    ':method': 'POST',
    ':scheme': 'http',
    ':authority': 'localhost',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...more,
  };
  return frame(frameType.headers, { flags: endHeaders, stream, payload: literals(headers) });
}

/** Headers in HPACK, each as a literal of less than 127 bytes that is not remembered. */
export function literals(headers: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(headers).map(([name, value]) =>
    Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  );
  return Buffer.concat(parts);
}

/** A number of four bytes, as most frames end with. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export const dataFrame = (stream: number, payload: Buffer, flags = 0): Buffer =>
  frame(frameType.data, { flags, stream, payload });

/** A gRPC message with its prefix. */
export function framed(message: Uint8Array, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** What a peer says first. */
export const greeting = Buffer.concat([preface, settingsFrame([])]);
