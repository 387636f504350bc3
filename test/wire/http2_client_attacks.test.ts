// The HTTP/2 client of ours before servers that break its rules, or that are odd within them.

import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Address } from '../../src/wire/address.ts';
import type { GrpcClient } from '../../src/wire/grpc_client.ts';
import { grpcPrefixBytes } from '../../src/wire/grpc_unary.ts';
import { grpcCalling } from '../support/grpc_calling.ts';
import {
  answerBegin,
  answerEnd,
  answerHeaders,
  rawServer,
  readFrames,
  success,
} from '../support/raw_grpc_peer.ts';
import {
  dataFrame,
  endHeaders,
  endStream,
  frame,
  frameType,
  literals,
  padded,
  settingsFrame,
  uint32,
} from '../support/raw_http2.ts';
import { eventually, listening } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function peer(meet: (socket: Socket, index: number) => void): Promise<GrpcClient> {
  const { server, close } = rawServer(meet);
  open.push(close);
  return client({ kind: 'tcp', host: '127.0.0.1', port: await listening(server) });
}

function client(address: Address): GrpcClient {
  const made = grpcCalling(address, { balancer: 'pick_first' });
  open.push(() => made.close());
  return made;
}

const message = (bytes: number): Buffer => Buffer.alloc(grpcPrefixBytes + bytes, 'm');
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const windowUpdate = (stream: number, bytes: number): Buffer =>
  frame(frameType.windowUpdate, { stream, payload: uint32(bytes) });

/** Answers each call once it has come whole, with what `answer` has for the nth one. */
function answering(socket: Socket, answer: (call: number, stream: number) => Buffer): void {
  let calls = 0;
  readFrames(socket, ({ type, flags, stream }) => {
    if (type === frameType.data && flags & endStream) socket.write(answer(calls++, stream));
  });
}

describe('http2_client, before a peer that greets with', () => {
  const rightOnes = /the peer does not speak HTTP\/2$/;
  for (const [what, greeting, wanted] of [
    ['HTTP/1.1', Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'), rightOnes],
    ['a ping', frame(frameType.ping, { payload: Buffer.alloc(8) }), rightOnes],
    ['a frame of 16 MiB', Buffer.from('ffffff040000000000', 'hex'), rightOnes],
    ['settings cut off', frame(frameType.settings, { payload: Buffer.alloc(5) }), rightOnes],
    ['too large a window', settingsFrame([[4, 2 ** 31]]), rightOnes],
    ['too small frames', settingsFrame([[5, 100]]), rightOnes],
    ['too many settings', settingsFrame(Array.from({ length: 40 }, () => [9, 9])), rightOnes],
    ['its end', undefined, /the peer closed the connection$/],
  ] as const) {
    test(`${what}: says so, and finds one that does better`, async () => {
      const one = await peer((socket, index) => {
        if (index > 0) {
          socket.write(settingsFrame([]));
          answering(socket, (_, stream) => success(stream));
        } else if (greeting === undefined) socket.end();
        else socket.write(greeting);
      });
      const outcome = await one.call('/a/b', message(1));
      expect(outcome.code).toBe(14);
      expect(outcome.details).toMatch(/^cannot connect to 127.0.0.1:\d+: /);
      expect(outcome.details).toMatch(wanted);
      while ((await one.call('/a/b', message(1))).code !== 0) await pause(10);
    });
  }
});

const status = (stream: number, value: string, flags = endHeaders): Buffer =>
  answerHeaders(stream, { ':status': value }, flags);
/** An entry of the table of 4000 bytes, and then a thousand times that entry. */
const bomb = Buffer.concat([
  Buffer.from([0x40, 1, 97, 127, 0xa1, 0x1e]),
  Buffer.alloc(4000, 'x'),
  Buffer.alloc(1000, 0xbe),
]);
const headersWith = (stream: number, payload: Buffer, flags = endHeaders): Buffer =>
  frame(frameType.headers, { flags, stream, payload });
const many = (count: number, one: Buffer): Buffer => Buffer.concat(Array(count).fill(one));

describe('http2_client fails the call and outlives a peer that answers with', () => {
  for (const [what, answer, wanted] of [
    ['a frame that is too long', () => Buffer.from('00400101040000000100', 'hex'), /FRAME_SIZE/],
    ['headers for a stream that nobody opened', () => answerBegin(9), /PROTOCOL_ERROR/],
    ['headers for a stream of its own', () => answerBegin(2), /PROTOCOL_ERROR/],
    ['headers for no stream', () => answerBegin(0), /PROTOCOL_ERROR/],
    ['data for no stream', () => dataFrame(0, Buffer.alloc(5)), /PROTOCOL_ERROR/],
    ['data before headers', () => dataFrame(1, Buffer.alloc(5)), /its answer: PROTOCOL_ERROR/],
    [
      'more than its window, in padding',
      () => {
        const one = frame(frameType.data, {
          flags: padded,
          stream: 1,
          payload: Buffer.concat([Buffer.from([255]), Buffer.alloc(256)]),
        });
        return Buffer.concat([answerBegin(1), many(4100, one)]);
      },
      /its answer: FLOW_CONTROL_ERROR/,
    ],
    ['padding without an end', () => frame(0, { flags: padded, stream: 1 }), /its answer|what it/],
    ['a broken block', () => headersWith(1, Buffer.from([0x80])), /headers: COMPRESSION_ERROR/],
    ['a bomb of headers', () => headersWith(1, bomb), /headers too long: PROTOCOL_ERROR/],
    [
      'headers without an end',
      () =>
        Buffer.concat([
          headersWith(1, literals({ ':status': '200' }), 0),
          many(40, frame(frameType.continuation, { stream: 1, payload: Buffer.alloc(4000) })),
        ]),
      /headers: ENHANCE_YOUR_CALM/,
    ],
    [
      'something between headers and their end',
      () => Buffer.concat([headersWith(1, literals({ ':status': '200' }), 0), settingsFrame([])]),
      /PROTOCOL_ERROR/,
    ],
    ['no status', () => answerHeaders(1, { 'content-type': 'a' }), /headers: PROTOCOL_ERROR/],
    ['a status that is none', () => status(1, '2000'), /headers: PROTOCOL_ERROR/],
    ['a name in capitals', () => answerHeaders(1, { ':status': '200', Aa: '' }), /PROTOCOL_ERROR/],
    ['an end of what is to come', () => status(1, '103', endHeaders | endStream), /PROTOCOL_ERROR/],
    ['headers twice', () => Buffer.concat([answerBegin(1), answerBegin(1)]), /PROTOCOL_ERROR/],
    ['too large a window', () => windowUpdate(0, 2 ** 31 - 1), /its window: FLOW_CONTROL_ERROR/],
    ['a larger window of nothing', () => windowUpdate(0, 0), /its window: FLOW_CONTROL_ERROR/],
    ['too large a window of the stream', () => windowUpdate(1, 2 ** 31 - 1), /FLOW_CONTROL_ERROR/],
    ['nothing for the stream', () => windowUpdate(1, 0), /a window of nothing: PROTOCOL_ERROR/],
    [
      'settings that open a window too far',
      () => Buffer.concat([windowUpdate(1, 70_000), settingsFrame([[4, 2 ** 31 - 1]])]),
      /its settings: FLOW_CONTROL_ERROR/,
    ],
    [
      'a reset cut off',
      () => frame(3, { stream: 1, payload: Buffer.alloc(3) }),
      /FRAME_SIZE_ERROR/,
    ],
    ['a reset of no stream', () => frame(3, { payload: uint32(8) }), /PROTOCOL_ERROR/],
    ['a ping cut off', () => frame(6, { payload: Buffer.alloc(7) }), /FRAME_SIZE_ERROR/],
    ['a goodbye cut off', () => frame(7, { payload: Buffer.alloc(7) }), /FRAME_SIZE_ERROR/],
    [
      'a push',
      () => frame(5, { stream: 1, flags: 4, payload: uint32(2) }),
      /a push: PROTOCOL_ERROR/,
    ],
  ] as [string, () => Buffer, RegExp][]) {
    test(what, async () => {
      let connections = 0;
      const one = await peer((socket) => {
        connections++;
        const isFirst = connections === 1;
        socket.write(settingsFrame([]));
        answering(socket, (n, stream) => (isFirst && n === 0 ? answer() : success(stream)));
      });
      const outcome = await one.call('/a/b', message(1));
      expect(outcome.details).toMatch(/^the peer broke the rules of HTTP\/2 with /);
      expect(outcome.details).toMatch(wanted);
      expect(outcome.code).toBe(14);
      expect((await one.call('/a/b', message(1))).code).toBe(0);
    });
  }

  for (const [what, answer, wanted] of [
    ['half a frame', Buffer.from([0, 0, 4, 1]), /^the connection was lost$/],
    [
      'a goodbye that says why',
      frame(frameType.goaway, {
        payload: Buffer.concat([uint32(1), uint32(11), Buffer.from('too_many_pings')]),
      }),
      /^the peer closed the connection: ENHANCE_YOUR_CALM too_many_pings$/,
    ],
  ] as const) {
    test(`${what}, and ends the connection`, async () => {
      const one = await peer((socket, index) => {
        socket.write(settingsFrame([]));
        answering(socket, (_, stream) => (index === 0 ? answer : success(stream)));
        if (index === 0) socket.on('data', () => setTimeout(() => socket.end(), 20));
      });
      const outcome = await one.call('/a/b', message(1));
      expect(outcome).toMatchObject({ code: 14, details: expect.stringMatching(wanted) });
      expect((await one.call('/a/b', message(1))).code).toBe(0);
    });
  }
});

test('http2_client understands an answer with everything that HTTP/2 allows, byte by byte', async () => {
  const ping = Buffer.from('12345678');
  const pongs: Buffer[] = [];
  const pad = (bytes: Buffer, more: Buffer = Buffer.alloc(0)): Buffer =>
    Buffer.concat([Buffer.from([3]), more, bytes, Buffer.alloc(3)]);
  const head = literals({ ':status': '200', 'content-type': 'application/grpc' });
  const answer = (stream: number): Buffer =>
    Buffer.concat([
      status(stream, '103'),
      frame(frameType.ping, { payload: ping }),
      frame(0xbe, { stream: 77, flags: 255, payload: Buffer.from('an extension') }),
      frame(frameType.priority, { stream: 99, payload: Buffer.alloc(5) }),
      settingsFrame([[1, 100]]),
      // Padded, with a priority, and in three pieces.
      frame(frameType.headers, {
        stream,
        flags: padded | 32,
        payload: pad(head.subarray(0, 4), Buffer.alloc(5)),
      }),
      frame(frameType.continuation, { stream }),
      frame(frameType.continuation, { stream, flags: endHeaders, payload: head.subarray(4) }),
      dataFrame(stream, Buffer.alloc(0)),
      dataFrame(stream, pad(Buffer.from([0, 0, 0])), padded),
      dataFrame(stream, Buffer.from([0, 2, 7])),
      dataFrame(stream, pad(Buffer.from([8])), padded),
      answerEnd(stream),
    ]);
  const one = await peer((socket) => {
    socket.setNoDelay(true);
    socket.write(settingsFrame([]));
    readFrames(socket, async ({ type, flags, stream, payload }) => {
      if (type === frameType.ping) pongs.push(Buffer.from(payload));
      if (type !== frameType.data || !(flags & endStream)) return;
      for (const byte of answer(stream)) {
        socket.write(Buffer.from([byte]));
        await new Promise((done) => setImmediate(done));
      }
    });
  });
  for (let i = 0; i < 2; i++) {
    const outcome = await one.call('/a/b', message(1));
    expect(outcome).toEqual({ code: 0, details: '', message: Buffer.from([7, 8]) });
  }
  await eventually(() => pongs.length === 2);
  expect(pongs).toEqual([ping, ping]);
});

test('http2_client makes the calls again that came after the last one that its peer deals with', async () => {
  const calls: number[] = [0, 0];
  let isClosed = false;
  const one = await peer((socket, index) => {
    socket.write(settingsFrame([[3, 3]]));
    if (index === 0) socket.on('close', () => (isClosed = true));
    readFrames(socket, ({ type, flags, stream }) => {
      if (type !== frameType.data || !(flags & endStream)) return;
      calls[index] = (calls[index] ?? 0) + 1;
      if (index > 0) socket.write(success(stream));
      else if (stream === 5) {
        const last = Buffer.concat([uint32(1), uint32(0)]);
        socket.write(frame(frameType.goaway, { payload: last }));
        setTimeout(() => socket.write(success(1)), 20);
      }
    });
  });
  // The fourth and the fifth have to wait for their turn.
  const outcomes = await Promise.all([1, 2, 3, 4, 5].map((n) => one.call('/a/b', message(n))));
  expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
  expect(calls).toEqual([3, 4]);
  await eventually(() => isClosed);
});
