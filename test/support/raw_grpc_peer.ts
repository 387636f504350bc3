// A gRPC server by hand, which may break any rule of HTTP/2.

import { createServer, type Server, type Socket } from 'node:net';
import {
  dataFrame,
  endHeaders,
  endStream,
  frame,
  frameType,
  literals,
  preface,
} from './raw_http2.ts';

export type RawFrame = {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
};

/** Calls back with each frame of a client that has said the preface. */
export function readFrames(socket: Socket, onFrame: (frame: RawFrame) => void): void {
  let rest = Buffer.alloc(0) as Buffer;
  let start = preface.length;
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      if (rest.length < start + 9) return;
      const end = start + 9 + rest.readUIntBE(start, 3);
      if (rest.length < end) return;
      const [type = 0, flags = 0] = rest.subarray(start + 3, start + 5);
      const stream = rest.readUInt32BE(start + 5);
      const payload = rest.subarray(start + 9, end);
      rest = rest.subarray(end);
      start = 0;
      onFrame({ type, flags, stream, payload });
    }
  });
}

/** Headers of an answer, or of what follows its bytes. */
export const answerHeaders = (
  stream: number,
  headers: Readonly<Record<string, string>>,
  flags = endHeaders,
): Buffer => frame(frameType.headers, { flags, stream, payload: literals(headers) });

export const answerBegin = (stream: number): Buffer =>
  answerHeaders(stream, { ':status': '200', 'content-type': 'application/grpc' });

export const answerEnd = (stream: number): Buffer =>
  answerHeaders(stream, { 'grpc-status': '0' }, endHeaders | endStream);

/** An empty message and success. */
export const success = (stream: number): Buffer =>
  Buffer.concat([answerBegin(stream), dataFrame(stream, Buffer.alloc(5)), answerEnd(stream)]);

/** A server that leaves each connection to `meet`, with its number from 0. Closed with all its connections. */
export function rawServer(meet: (socket: Socket, index: number) => void): {
  server: Server;
  close: () => void;
} {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    sockets.push(socket);
    meet(socket, sockets.length - 1);
  });
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { server, close };
}
