// The HTTP/2 client of ours before servers that do not read.

import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { GrpcClient } from '../../src/wire/grpc_client.ts';
import { grpcPrefixBytes } from '../../src/wire/grpc_unary.ts';
import { ClientConnection } from '../../src/wire/http2/client_connection.ts';
import type { StreamEnd } from '../../src/wire/http2/client_stream.ts';
import { secretHeaderBlock } from '../../src/wire/http2/frames.ts';
import { grpcCalling } from '../support/grpc_calling.ts';
import { answerHeaders, rawServer, readFrames, success } from '../support/raw_grpc_peer.ts';
import {
  endHeaders,
  endStream,
  frame,
  frameType,
  settingsFrame,
  uint32,
} from '../support/raw_http2.ts';
import { eventually } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(() => {
  for (const close of open.splice(0).reverse()) close();
});

/** A server at a socket whose buffers are small, whatever the machine; its path. */
async function tightServer(meet: (socket: Socket, index: number) => void): Promise<string> {
  const { server, close } = rawServer(meet);
  open.push(close);
  const path = join(mkdtempSync(join(tmpdir(), 'http2-')), 's');
  server.listen(path);
  await once(server, 'listening');
  return path;
}

async function tightPeer(meet: (socket: Socket, index: number) => void): Promise<GrpcClient> {
  const path = await tightServer(meet);
  const made = grpcCalling({ kind: 'unix', path }, { balancer: 'pick_first' });
  open.push(() => made.close());
  return made;
}

const message = (bytes: number): Buffer => Buffer.alloc(grpcPrefixBytes + bytes, 'm');
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const wide = Buffer.concat([
  settingsFrame([[4, 2 ** 31 - 1]]),
  frame(frameType.windowUpdate, { payload: uint32(2 ** 30) }),
]);

/** Greets, opens all windows, stops to read when a call has begun, and says this. */
function deaf(said: Buffer): {
  meet: (socket: Socket) => void;
  hear: () => void;
  bytes: () => number;
} {
  let bytes = 0;
  let hears: Socket | undefined;
  const meet = (socket: Socket): void => {
    socket.write(wide);
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (hears !== undefined || bytes < 1000) return;
      hears = socket;
      socket.pause();
      socket.write(said);
    });
  };
  return { meet, hear: () => hears?.resume(), bytes: () => bytes };
}

test('http2_client reports a success only once nobody looks at the request any more', async () => {
  const { meet, hear, bytes } = deaf(success(1));
  const one = await tightPeer(meet);
  let isSettled = false;
  const call = one.call('/a/b', message(900_000)).finally(() => {
    isSettled = true;
  });
  await pause(100);
  expect(isSettled).toBe(false);
  hear();
  expect((await call).code).toBe(0);
  await eventually(() => bytes() > 900_000);
});

test('http2_client reports a success although requests behind it are stuck', async () => {
  let ended = 0;
  const one = await tightPeer((socket) => {
    socket.write(wide);
    readFrames(socket, ({ type, flags }) => {
      if (type !== frameType.data || !(flags & endStream) || ++ended < 2) return;
      socket.pause();
      socket.write(Buffer.concat([success(1), success(3)]));
    });
  });
  const giveUp = new AbortController();
  const call = (): Promise<{ code: number }> => one.call('/a/b', message(900_000), giveUp.signal);
  const calls = [call(), call(), call(), call()];
  expect((await Promise.all(calls.slice(0, 2))).map(({ code }) => code)).toEqual([0, 0]);
  giveUp.abort();
  expect((await Promise.all(calls.slice(2))).map(({ code }) => code)).toEqual([1, 1]);
});

test('http2_client: a success before the whole request is none, and an abort waits for nobody', async () => {
  const early = await tightPeer(deaf(success(1)).meet);
  expect(await early.call('/a/b', message(30_000_000))).toMatchObject({
    code: 13,
    details: 'the peer answered before it had the whole request',
  });
  const never = await tightPeer(deaf(Buffer.alloc(0)).meet);
  expect((await never.call('/a/b', message(3_000_000), AbortSignal.timeout(50))).code).toBe(1);
});

test('http2_client gives a socket no more than it takes, and goes on when it has taken that', async () => {
  let bytes = 0;
  const one = await tightPeer((socket) => {
    socket.write(wide);
    readFrames(socket, ({ type, flags, stream, payload }) => {
      if (type === frameType.data) bytes += payload.length;
      if (type === frameType.data && flags & endStream) socket.write(success(stream));
    });
  });
  const sizes = [9_000_000, 20_000, 5_000_000, 10];
  const outcomes = await Promise.all(sizes.map((size) => one.call('/a/b', message(size))));
  expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  expect(bytes).toBe(14_020_010 + 4 * grpcPrefixBytes);
});

test('http2_client leaves a refused request to be sent elsewhere once its socket has no use for it', async () => {
  const { meet, hear, bytes } = deaf(frame(frameType.reset, { stream: 1, payload: uint32(7) }));
  const socket = connect(await tightServer(meet));
  const connection = new ClientConnection({
    answerWindow: 1000,
    ready: () => undefined,
    leaving: () => undefined,
    closed: () => undefined,
  });
  open.push(() => connection.destroy());
  socket.on('data', (chunk: Buffer) => connection.read(chunk, chunk.length));
  connection.start(socket);
  await eventually(() => connection.takesCalls);
  const ends: string[] = [];
  const reader = {
    headers: () => undefined,
    data: () => undefined,
    isSuccess: () => false,
    closed: ({ kind }: StreamEnd) => ends.push(kind),
  };
  connection.request(
    { block: secretHeaderBlock({ ':path': '/' }), body: message(900_000) },
    reader,
  );
  await pause(50);
  expect(ends).toEqual([]);
  hear();
  await eventually(() => ends.length > 0);
  expect(ends).toEqual(['untouched']);
  await eventually(() => bytes() > 900_000);
});

test('http2_client goes elsewhere at once when its peer says goodbye and does not read on', async () => {
  const goodbye = frame(frameType.goaway, { payload: Buffer.alloc(8) });
  const first = deaf(goodbye);
  let bytes = 0;
  const one = await tightPeer((socket, index) => {
    if (index === 0) return first.meet(socket);
    socket.write(wide);
    readFrames(socket, ({ type, flags, stream, payload }) => {
      if (type === frameType.data) bytes += payload.length;
      if (type === frameType.data && flags & endStream) socket.write(success(stream));
    });
  });
  expect((await one.call('/a/b', message(3e6))).code).toBe(0);
  expect(bytes).toBe(3e6 + grpcPrefixBytes);
});

test('http2_client waits for no kernel to report a failure', async () => {
  for (const answer of [
    answerHeaders(1, { ':status': '200' }),
    answerHeaders(1, { ':status': '200', 'grpc-status': '8' }),
  ]) {
    answer[4] = endHeaders | endStream;
    const one = await tightPeer(deaf(answer).meet);
    expect((await one.call('/a/b', message(3_000_000))).code).toBe(answer.includes('grpc') ? 8 : 2);
  }
});

test('http2_client answers no further than its peer reads', async () => {
  const pings = Buffer.concat(
    Array(1000).fill(frame(frameType.ping, { payload: Buffer.alloc(8) })),
  );
  const written: number[] = [];
  let socketOfPeer: Socket | undefined;
  const one = await tightPeer((socket) => {
    socketOfPeer = socket;
    socket.write(settingsFrame([]));
    socket.pause();
    const flood = (): void => {
      if (written.length < 2000 && socket.write(pings, () => written.push(1))) setImmediate(flood);
    };
    socket.on('drain', flood);
    flood();
  });
  const call = one.call('/a/b', message(1));
  let before = -1;
  while (before !== written.length) {
    before = written.length;
    await pause(150);
  }
  // 17 KB each: the buffers of both directions, and what the client bears.
  expect(written.length).toBeLessThan(100);
  let pongs = 0;
  const socket = socketOfPeer as Socket;
  socket.removeAllListeners('drain');
  readFrames(socket, ({ type, flags, stream }) => {
    if (type === frameType.ping) pongs++;
    if (type === frameType.data && flags & endStream) socket.write(success(stream));
  });
  socket.resume();
  expect((await call).code).toBe(0);
  await eventually(() => pongs === written.length * 1000);
});
