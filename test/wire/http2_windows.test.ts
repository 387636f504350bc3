// What peers may send on streams of messages before those are read.

import { expect, test } from 'vitest';
import type { GrpcMethod } from '../../src/wire/grpc_method.ts';
import { grpcServing } from '../support/grpc_serving.ts';
import {
  dataFrame,
  endStream,
  frame,
  framed,
  frameType,
  greeting,
  headersFrame,
  preface,
  settingsFrame,
} from '../support/raw_http2.ts';
import { connected, eventually } from '../support/sockets.ts';

const waits: GrpcMethod = {
  streaming: true,
  admit: () => new Promise(() => undefined),
  open: () => ({ message: () => undefined, end: () => ({ message: Buffer.alloc(0) }) }),
};
const ack = frame(frameType.settings, { flags: 1 });
const ping = frame(frameType.ping, { payload: Buffer.alloc(8) });

const agreedAtOnce = `windowUpdate 0 ${1024 * 1024 - 65_535}`;

/** So many bytes of a message that has no room. */
function data(stream: number, bytes: number): Buffer {
  const message = framed(Buffer.alloc(bytes)).subarray(0, bytes);
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes; at += 16_384) {
    frames.push(dataFrame(stream, message.subarray(at, at + 16_384)));
  }
  return Buffer.concat(frames);
}

/** Says it to a server, and returns frames of the answer up to its pong or goodbye. */
async function answer(port: number, ...said: readonly Buffer[]): Promise<string[]> {
  const socket = await connected(port);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write(Buffer.concat([greeting, ...said, ping]));
  const heard: string[] = [];
  await eventually(() => {
    heard.length = 0;
    const bytes = Buffer.concat(chunks);
    for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
      const stream = bytes.readUInt32BE(at + 5);
      const payload = bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3));
      const type = Object.entries(frameType).find(([, number]) => number === bytes[at + 3])?.[0];
      if (type === 'settings') continue;
      heard.push(`${type} ${stream} ${payload.readUInt32BE(type === 'goaway' ? 4 : 0)}`);
    }
    return /ping|goaway/.test(heard.at(-1) ?? '');
  });
  socket.destroy();
  return heard;
}

test('http2 takes little on streams that nobody reads, and what was sent before the peer could know it', async () => {
  const { server, port } = await grpcServing({ methods: new Map([['/waits', waits]]) });
  try {
    const one = headersFrame(1, '/waits');
    const three = headersFrame(3, '/waits');
    // Before it has heard of our settings: as much on all streams as on one.
    expect(await answer(port, one, data(1, 65_535))).toEqual(['ping 0 0']);
    expect(await answer(port, one, three, data(1, 65_535), data(3, 1))).toEqual(['goaway 0 3']);
    // Then it may go on as if it had not sent anything.
    const agreed = ['windowUpdate 1 60000', `windowUpdate 0 ${1024 * 1024 - 5535}`];
    expect(await answer(port, one, data(1, 60_000), three, ack, ack)).toEqual([
      ...agreed,
      'ping 0 0',
    ]);
    const most = [one, data(1, 60_000), three, ack, data(1, 1024), data(3, 1024)];
    expect(await answer(port, ...most)).toEqual([...agreed, 'ping 0 0']);
    expect(await answer(port, ...most, data(3, 1))).toEqual([...agreed, 'reset 3 3', 'ping 0 0']);
  } finally {
    await server.stop(0);
  }
});

test('http2 does not count against others what streams may not send any more', async () => {
  const reads = { ...waits, admit: () => undefined };
  const { server, port } = await grpcServing({
    methods: new Map([['/reads', reads]]),
    maxConcurrentStreams: 1000,
  });
  const early = await connected(port);
  try {
    // Streams that were opened before their peer had heard of our settings, each with a message, and are idle now.
    const message = framed(Buffer.alloc(10));
    const opened = Array.from({ length: 500 }, (_, i) =>
      Buffer.concat([headersFrame(2 * i + 1, '/reads'), dataFrame(2 * i + 1, message)]),
    );
    const chunks: Buffer[] = [];
    early.on('data', (chunk: Buffer) => chunks.push(chunk));
    early.write(Buffer.concat([greeting, ...opened, ack, ping]));
    const pong = frame(frameType.ping, { flags: 1, payload: Buffer.alloc(8) });
    await eventually(() => Buffer.concat(chunks).includes(pong));
    const heard = await answer(port, ack, headersFrame(1, '/reads'), dataFrame(1, message));
    expect(heard).toContain(`windowUpdate 1 ${256 * 1024 - 1024 + message.length}`);
  } finally {
    early.destroy();
    await server.stop(0);
  }
});

test('http2 ends with a peer that does not say that it has heard the settings', async () => {
  const { server, port, refused } = await grpcServing({
    methods: new Map([['/waits', waits]]),
    requestTimeout: 100,
  });
  const silent = await connected(port);
  const polite = await connected(port);
  try {
    const chunks: Buffer[] = [];
    silent.on('data', (chunk: Buffer) => chunks.push(chunk));
    silent.write(Buffer.concat([greeting, headersFrame(1, '/waits'), data(1, 65_535)]));
    polite.write(Buffer.concat([greeting, ack]));
    const goaway = frame(frameType.goaway, { payload: Buffer.from([0, 0, 0, 1, 0, 0, 0, 4]) });
    await eventually(() => Buffer.concat(chunks).includes(goaway));
    expect(refused).toContain('protocol');
    expect(server.connections).toBe(1);
  } finally {
    silent.destroy();
    polite.destroy();
    await server.stop(0);
  }
});

test('grpc_server leaves an answer that its peer does not let through', async () => {
  const echo: GrpcMethod = {
    streaming: false,
    open: () => ({ message: () => undefined, end: () => ({ message: Buffer.alloc(0) }) }),
  };
  const { server, port, refused } = await grpcServing({
    methods: new Map([['/echo', echo]]),
    requestTimeout: 100,
  });
  const socket = await connected(port);
  try {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const call = [headersFrame(1, '/echo'), dataFrame(1, framed(Buffer.alloc(0)), endStream)];
    socket.write(Buffer.concat([preface, settingsFrame([[4, 4]]), ...call]));
    await eventually(() => refused.length > 0);
    expect(refused).toEqual(['unread']);
    const reset = frame(frameType.reset, { stream: 1, payload: Buffer.from([0, 0, 0, 8]) });
    await eventually(() => Buffer.concat(chunks).subarray(-reset.length).equals(reset));
  } finally {
    socket.destroy();
    await server.stop(0);
  }
});

test('grpc_call keeps nothing of a request but what it has asked room for', async () => {
  const unary = { ...waits, streaming: false };
  const methods = new Map([
    ['/one', unary],
    ['/reads', { ...unary, admit: () => undefined }],
  ]);
  const { server, port, refused } = await grpcServing({ methods });
  try {
    const message = framed(Buffer.alloc(10));
    const one = headersFrame(1, '/one');
    expect(await answer(port, one, dataFrame(1, message))).toEqual([agreedAtOnce, 'ping 0 0']);
    await eventually(() => refused[0] === 'cut_short');
    const heard = await answer(port, one, dataFrame(1, message), dataFrame(1, Buffer.alloc(1)));
    expect(heard.slice(2)).toEqual(['reset 1 0', 'ping 0 0']);
    expect(refused).toEqual(['cut_short', 'malformed']);
    // A second message is not waited for.
    const second = framed(Buffer.alloc(1000)).subarray(0, 5);
    const reads = headersFrame(1, '/reads');
    const told = await answer(port, reads, dataFrame(1, Buffer.concat([message, second])));
    expect(told.slice(2)).toEqual(['reset 1 0', 'ping 0 0']);
    expect(refused).toEqual(['cut_short', 'malformed', 'malformed']);
  } finally {
    await server.stop(0);
  }
});

test('the window of a connection is opened with an answer, and without one when half of it is used', async () => {
  const unary = { ...waits, streaming: false };
  const methods = new Map([
    ['/waits', unary],
    ['/answers', { ...unary, admit: () => undefined }],
  ]);
  const { server, port } = await grpcServing({ methods });
  const opened = (heard: readonly string[]): string[] =>
    heard.slice(1).filter((said) => said.startsWith('windowUpdate 0'));
  /** So many requests: 60,000 bytes each, and the rest of the message. */
  const requests = (path: string, count: number): Buffer[] =>
    Array.from({ length: count }, (_, i) => {
      const stream = 2 * i + 1;
      const rest = dataFrame(stream, Buffer.alloc(5), endStream);
      return Buffer.concat([headersFrame(stream, path), data(stream, 60_000), rest]);
    });
  try {
    expect(opened(await answer(port, ...requests('/waits', 8)))).toEqual([]);
    expect(opened(await answer(port, ...requests('/waits', 9)))).toHaveLength(1);
    const heard = await answer(port, ...requests('/answers', 5));
    expect(opened(heard)).toEqual(['windowUpdate 0 300025']);
    expect(heard[heard.indexOf('windowUpdate 0 300025') - 1]).toMatch(/^headers 9 /);
  } finally {
    await server.stop(0);
  }
});
