// The HTTP/2 client of ours before servers that say anything at all.

import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { grpcPrefixBytes } from '../../src/wire/grpc_unary.ts';
import { grpcCalling } from '../support/grpc_calling.ts';
import {
  answerBegin,
  answerEnd,
  rawServer,
  readFrames,
  success,
} from '../support/raw_grpc_peer.ts';
import { dataFrame, endStream, frame, frameType, settingsFrame } from '../support/raw_http2.ts';
import { eventually, listening } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(() => {
  for (const close of open.splice(0).reverse()) close();
});

const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

/** Frames that mean something, and frames that mean nothing. */
const said = fc.array(
  fc.oneof(
    fc
      .record({
        type: fc.nat(11),
        flags: fc.oneof(fc.constantFrom(0, 1, 4, 5), fc.nat(255)),
        stream: fc.oneof(fc.constantFrom(0, 1, 3), fc.nat(2 ** 31 - 1)),
        payload: fc.oneof(bytes(4), bytes(8), bytes(60)),
      })
      .map(({ type, ...parts }) => frame(type, parts)),
    fc.constantFrom(answerBegin(1), answerEnd(1), dataFrame(1, Buffer.alloc(5)), success(3)),
    fc
      .array(
        fc.tuple(
          fc.integer({ min: 1, max: 8 }),
          fc.constantFrom(0, 1, 16_384, 2 ** 20, 2 ** 31 - 1),
        ),
      )
      .map(settingsFrame),
    bytes(30),
  ),
  { maxLength: 12 },
);

test('http2_client ends every call, whatever a server says, and leaves nothing behind', async () => {
  let answer = Buffer.alloc(0) as Buffer;
  const sockets = new Set<object>();
  const { server, close } = rawServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.write(settingsFrame([]));
    readFrames(socket, ({ type, flags }) => {
      if (type === frameType.headers || (type === frameType.data && flags & endStream)) {
        socket.write(answer);
      }
    });
  });
  open.push(close);
  const port = await listening(server);
  await fc.assert(
    fc.asyncProperty(said, fc.constantFrom(1, 20_000, 200_000), async (frames, size) => {
      const one = grpcCalling(port, { balancer: 'pick_first' });
      answer = Buffer.concat(frames);
      const giveUp = new AbortController();
      const { signal } = giveUp;
      const timer = setTimeout(() => giveUp.abort(), 15);
      const call = (): Promise<{ code: number }> =>
        one.call('/a/b', Buffer.alloc(grpcPrefixBytes + size), signal);
      const outcomes = await Promise.all([call(), call()]);
      for (const { code } of outcomes) expect(code).toBeTypeOf('number');
      clearTimeout(timer);
      expect(getEventListeners(signal, 'abort')).toEqual([]);
      one.close();
    }),
    { numRuns: 60 },
  );
  await eventually(() => sockets.size === 0);
});
