// A client of HTTP/2 that sends on many streams as much as their windows let through, and has none of it in memory.

import { dataFrame, frame, frameType, headersFrame, preface, settingsFrame } from './raw_http2.ts';
import { connected, eventually } from './sockets.ts';

export type GreedyPeer = {
  /** Of all bodies, so far. */
  readonly sentBytes: number;
  /** Goes on to send so many bytes of each body. */
  send(bytes: number): void;
  /** Resolves when nothing more may be sent, and everything that was has been dealt with. */
  stuck(): Promise<void>;
  /** Everything that was said before has been dealt with. */
  pong(): Promise<void>;
  close(): void;
};

const settingsInitialWindow = 4;
const ack = 1;
const frameBytesMax = 16_384;
const stuckMs = 200;

/** `body` is sent on each of the streams, which stay open. */
export async function greedyPeer(
  port: number,
  { path, streams, body }: { path: string; streams: number; body: Buffer },
): Promise<GreedyPeer> {
  const socket = await connected(port);
  let sentBytes = 0;
  let pongs = 0;
  let initial = 65_535;
  let room = 65_535;
  const windows = Array.from({ length: streams }, () => initial);
  const sent = Array.from({ length: streams }, () => 0);
  let mayBytes = -1;
  const pump = (i: number): void => {
    for (;;) {
      const start = sent[i]!;
      const bytes = Math.min(mayBytes - start, windows[i]!, room, frameBytesMax);
      if (bytes <= 0) return;
      socket.write(dataFrame(2 * i + 1, body.subarray(start, start + bytes)));
      sent[i]! += bytes;
      windows[i]! -= bytes;
      room -= bytes;
      sentBytes += bytes;
    }
  };
  const heard = (type: number, flags: number, stream: number, payload: Buffer): void => {
    if (type === frameType.ping) pongs++;
    if (type === frameType.settings && flags !== ack) {
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) !== settingsInitialWindow) continue;
        const more = payload.readUInt32BE(at + 2) - initial;
        initial += more;
        for (let i = 0; i < streams; i++) windows[i]! += more;
      }
      socket.write(frame(frameType.settings, { flags: ack }));
    }
    if (type !== frameType.windowUpdate) return;
    const i = (stream - 1) / 2;
    if (stream === 0) room += payload.readUInt32BE(0);
    else windows[i]! += payload.readUInt32BE(0);
    if (stream > 0) pump(i);
    else for (let each = 0; each < streams; each++) pump(each);
  };
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    let at = 0;
    for (let end = 0; at + 9 <= rest.length; at = end) {
      end = at + 9 + rest.readUIntBE(at, 3);
      if (end > rest.length) break;
      heard(rest[at + 3]!, rest[at + 4]!, rest.readUInt32BE(at + 5), rest.subarray(at + 9, end));
    }
    rest = rest.subarray(at);
  });
  const pong = async (): Promise<void> => {
    const before = pongs;
    socket.write(frame(frameType.ping, { payload: Buffer.alloc(8) }));
    await eventually(() => pongs > before);
  };
  socket.write(Buffer.concat([preface, settingsFrame([])]));
  return {
    get sentBytes() {
      return sentBytes;
    },
    send: (bytes) => {
      const isFirst = mayBytes < 0;
      mayBytes = bytes;
      for (let i = 0; i < streams; i++) {
        if (isFirst) socket.write(headersFrame(2 * i + 1, path));
        pump(i);
      }
    },
    stuck: async () => {
      for (let before = -1; before !== sentBytes; ) {
        before = sentBytes;
        await new Promise((resolve) => setTimeout(resolve, stuckMs));
        await pong();
      }
    },
    pong,
    close: () => void socket.destroy(),
  };
}
