// Peers that break the rules, before each receiver that speaks gRPC: what they are told, under what they are counted, and
// that a good peer beside them notices nothing.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { type Collector, collector, testContext } from '../support/collect.ts';
import {
  kinds,
  type Listening,
  listeningGrpc,
  messageOf,
  pathOf,
  RawClient,
} from '../support/grpc_peers.ts';
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
import { closed, connected, eventually } from '../support/sockets.ts';

const enhanceYourCalm = 11;

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

type Scene = Listening & { sink: Collector; good: RawClient };

/** A receiver with a good peer that has been heard, and is heard again at the end. */
async function scene(kind: Listening['kind'], settings: object = {}): Promise<Scene> {
  const sink = collector();
  const listening = await listeningGrpc(kind, sink.deliver, settings);
  open.push(() => listening.receiver.stop());
  const good = new RawClient(listening.port);
  open.push(() => good.close());
  expect((await good.good(kind, '/before')).status).toBe(0);
  await sink.until(1);
  return { ...listening, sink, good };
}

/** The good peer, on the connection that it has, and nothing came from others. */
async function undisturbed({ kind, sink, good, context }: Scene, others = 0): Promise<void> {
  expect(good.session.destroyed).toBe(false);
  expect((await good.good(kind, '/after')).status).toBe(0);
  await sink.until(2 + others);
  await sleep(20);
  expect(sink.records).toHaveLength(2 + others);
  await eventually(() => context.budget.usedBytes === 0);
}

async function bad(port: number): Promise<Socket> {
  const socket = await connected(port);
  open.push(() => socket.destroy());
  return socket;
}

for (const kind of kinds) {
  const path = pathOf(kind);

  describe(`${kind} is told nonsense:`, () => {
    for (const [what, bytes] of [
      ['HTTP/1.1', Buffer.from('POST /v1/logs HTTP/1.1\r\nHost: x\r\n\r\n')],
      ['a TLS handshake', Buffer.from('160301020001000001fc0303', 'hex')],
      ['a line', Buffer.from('[2026-01-01T00:00:00.000Z] "GET / HTTP/1.1" 200\n')],
      ['zeros', Buffer.alloc(100_000)],
      ['half a preface and garbage', Buffer.concat([preface.subarray(0, 10), Buffer.alloc(100)])],
      ['a preface and garbage', Buffer.concat([preface, Buffer.alloc(300, 0xff)])],
    ] as const) {
      test(`${what} instead of HTTP/2`, async () => {
        const on = await scene(kind);
        const socket = await bad(on.port);
        socket.write(bytes);
        await closed(socket);
        await eventually(() => on.refusedConnections('protocol') === 1);
        await undisturbed(on);
      });
    }

    test('another path', async () => {
      const on = await scene(kind);
      const answer = await on.good.call('/a.b.C/D', framed(messageOf(kind, '/x')));
      expect(answer).toMatchObject({ status: 12, http: 200 });
      expect(on.refusedRequests('unknown_method')).toBe(1);
      await undisturbed(on);
    });

    test('another content type, another method', async () => {
      const on = await scene(kind);
      const body = framed(messageOf(kind, '/x'));
      for (const [headers, http] of [
        [{ 'content-type': 'application/json' }, 415],
        [{ 'content-type': 'application/grpc-web' }, 415],
        [{ ':method': 'PUT' }, 405],
      ] as const) {
        expect(await on.good.call(path, body, headers)).toMatchObject({ http, status: undefined });
      }
      expect(on.refusedRequests('not_grpc')).toBe(3);
      await undisturbed(on);
    });
  });

  describe(`${kind} is cut short:`, () => {
    test('inside an HTTP/2 frame', async () => {
      const on = await scene(kind);
      const socket = await bad(on.port);
      const data = dataFrame(1, framed(messageOf(kind, '/x')));
      socket.write(Buffer.concat([greeting, headersFrame(1, path), data.subarray(0, -3)]));
      await sleep(50);
      socket.destroy();
      await eventually(() => on.refusedRequests('cut_short') === 1);
      await undisturbed(on);
    });

    test('inside the prefix of a message, and inside a message', async () => {
      const on = await scene(kind);
      const whole = framed(messageOf(kind, '/x'));
      for (const length of [1, 4, 5, whole.length - 1]) {
        expect((await on.good.call(path, whole.subarray(0, length))).status).toBe(13);
      }
      expect(on.refusedRequests('cut_short')).toBe(4);
      await undisturbed(on);
    });

    test('by a reset of the stream', async () => {
      const on = await scene(kind);
      const socket = await bad(on.port);
      const half = framed(messageOf(kind, '/x')).subarray(0, 8);
      const reset = frame(frameType.reset, { stream: 1, payload: Buffer.from([0, 0, 0, 8]) });
      socket.write(Buffer.concat([greeting, headersFrame(1, path), dataFrame(1, half), reset]));
      await eventually(() => on.refusedRequests('cut_short') === 1);
      // The connection lives: the next stream is served.
      const body = framed(messageOf(kind, '/next'));
      socket.write(Buffer.concat([headersFrame(3, path), dataFrame(3, body, endStream)]));
      await on.sink.until(2);
      await undisturbed(on, 1);
    });

    test('inside protobuf', async () => {
      const on = await scene(kind);
      const message = messageOf(kind, '/x');
      const answer = await on.good.call(path, framed(message.subarray(0, 3)));
      // A stream goes on after a message that is none; a request is refused.
      expect(answer.status).toBe(kind === 'otlp' ? 3 : 0);
      const counted = kind === 'otlp' ? on.refusedRequests('malformed') : undefined;
      expect(counted ?? on.context.dropped['malformed_message']).toBe(1);
      await undisturbed(on);
    });
  });

  describe(`${kind} is sent too much:`, () => {
    const limit = kind === 'otlp' ? { max_recv_msg_size_mib: 0.1 } : { message_bytes_max: 104_857 };

    test('a message over the limit, and then a good one on the same connection', async () => {
      const on = await scene(kind, limit);
      const large = framed(messageOf(kind, `/${'x'.repeat(200_000)}`));
      if (kind === 'otlp') {
        expect((await on.good.call(path, large)).status).toBe(8);
        expect(on.refusedRequests('too_large')).toBe(1);
        await undisturbed(on);
        return;
      }
      const next = framed(messageOf(kind, '/same stream'));
      expect((await on.good.call(path, Buffer.concat([large, next, large]))).status).toBe(0);
      expect(on.context.dropped).toEqual({ message_too_large: 2 });
      await undisturbed(on, 1);
    });

    for (const [encoding, compress] of [
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
    ] as const) {
      test(`bombs of ${encoding}, and what is no ${encoding}`, async () => {
        const on = await scene(kind, limit);
        const bomb = framed(compress(Buffer.alloc(64 << 20)), 1);
        const headers = { 'grpc-encoding': encoding };
        const answers = await Promise.all(
          Array.from({ length: 10 }, () => on.good.call(path, bomb, headers)),
        );
        expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 8));
        expect(on.refusedRequests('too_large')).toBe(10);
        const garbage = framed(Buffer.from('no such thing'), 1);
        expect((await on.good.call(path, garbage, headers)).status).toBe(13);
        expect(on.refusedRequests('malformed')).toBe(1);
        expect((await on.good.call(path, garbage, { 'grpc-encoding': 'br' })).status).toBe(12);
        expect(on.refusedRequests('unsupported_encoding')).toBe(1);
        await undisturbed(on);
      });
    }

    test('longer headers than anybody needs', async () => {
      const on = await scene(kind);
      const headers = { 'x-long': 'x'.repeat(40_000) };
      const answer = await on.good.call(path, framed(messageOf(kind, '/x')), headers);
      expect(answer).toEqual({ status: undefined, http: undefined, rst: enhanceYourCalm });
      await undisturbed(on);
    });

    test('streams over the limit of one connection wait at the peer, or are refused', async () => {
      const on = await scene(kind, { max_concurrent_streams: 3 });
      const client = new RawClient(on.port);
      open.push(() => client.close());
      const settings = await once(client.session, 'remoteSettings');
      expect(settings[0]).toMatchObject({ maxConcurrentStreams: 3 });
      const body = framed(messageOf(kind, '/x'));
      // A peer that has not seen the limit.
      const socket = await bad(on.port);
      let answer = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        answer = Buffer.concat([answer, chunk]);
      });
      const over = Array.from({ length: 150 }, (_, i) => 7 + 2 * i);
      const streams = [1, 3, 5, ...over].map((stream) => headersFrame(stream, path));
      socket.write(Buffer.concat([greeting, ...streams]));
      const resets = (): number[] => resetStreams(answer);
      await eventually(() => resets().length === over.length);
      expect(resets()).toEqual(over);
      for (const stream of [1, 3, 5]) socket.write(dataFrame(stream, body, endStream));
      await on.sink.until(4);
      await undisturbed(on, 3);
    });

    test('calls that follow others at the limit of streams faster than those can end', async () => {
      const on = await scene(kind, { max_concurrent_streams: 1 });
      const socket = await bad(on.port);
      const acknowledged = frame(frameType.settings, { flags: 1 });
      socket.write(Buffer.concat([greeting, acknowledged, headersFrame(1, path)]));
      await sleep(50);
      // More than Node bears by default before it ends the connection.
      const turns = Array.from({ length: 150 }, (_, i) => {
        const reset = frame(frameType.reset, {
          stream: 1 + 2 * i,
          payload: Buffer.from([0, 0, 0, 8]),
        });
        return Buffer.concat([reset, headersFrame(3 + 2 * i, path)]);
      });
      socket.write(Buffer.concat(turns));
      await sleep(50);
      const body = framed(messageOf(kind, '/last'));
      socket.write(frame(frameType.reset, { stream: 301, payload: Buffer.from([0, 0, 0, 8]) }));
      await sleep(50);
      socket.write(Buffer.concat([headersFrame(303, path), dataFrame(303, body, endStream)]));
      await on.sink.until(2);
      expect(socket.destroyed).toBe(false);
      await undisturbed(on, 1);
    });

    test('connections over the limit', async () => {
      const on = await scene(kind, { max_connections: 3 });
      const few = [await bad(on.port), await bad(on.port)];
      const many = [await bad(on.port), await bad(on.port)];
      await Promise.all(many.map(closed));
      expect(on.refusedConnections('limit')).toBe(2);
      expect(few.map(({ destroyed }) => destroyed)).toEqual([false, false]);
      await undisturbed(on);
    });
  });

  test(`${kind} leaves a peer that says GOAWAY in the middle of a call and then breaks the protocol`, async () => {
    const on = await scene(kind, { keepalive: { timeout: '300ms' } });
    const socket = await bad(on.port);
    const half = dataFrame(1, framed(messageOf(kind, '/x')).subarray(0, 8));
    const goaway = frame(frameType.goaway, { payload: Buffer.alloc(8) });
    const tooLong = Buffer.from('ffffff000000000001', 'hex');
    socket.write(Buffer.concat([greeting, headersFrame(1, path), half, goaway, tooLong]));
    await eventually(() => on.refusedRequests('cut_short') === 1);
    await closed(socket);
    await undisturbed(on);
  });

  describe(`${kind} has a peer that reads no answer`, () => {
    async function deaf(port: number): Promise<Socket> {
      const socket = connectTcp(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.pause();
      open.push(() => socket.destroy());
      await once(socket, 'connect');
      // It gives no window for answers either.
      socket.write(Buffer.concat([preface, settingsFrame([[4, 0]])]));
      return socket;
    }
    const ping = frame(frameType.ping, { payload: Buffer.alloc(8) });

    test('and goes silent: it is left after the time for a ping', async () => {
      const on = await scene(kind, { keepalive: { time: '300ms', timeout: '300ms' } });
      const socket = await deaf(on.port);
      const body = framed(messageOf(kind, '/deaf'));
      for (let stream = 1; stream < 100; stream += 2) {
        const data = dataFrame(stream, body, endStream);
        socket.write(Buffer.concat([headersFrame(stream, path), data]));
      }
      await on.sink.until(51);
      const startMs = performance.now();
      socket.resume();
      await closed(socket);
      expect(performance.now() - startMs).toBeGreaterThan(200);
      await undisturbed(on, 50);
    });

    test('and asks without an end: it is left before it costs much', async () => {
      const on = await scene(kind, { keepalive: { time: '2s', timeout: '1s' } });
      const socket = await deaf(on.port);
      const beforeBytes = process.memoryUsage().rss;
      const pings = Buffer.concat(Array.from({ length: 1000 }, () => ping));
      let gone = false;
      socket.on('close', () => {
        gone = true;
      });
      for (let stream = 1; !gone && stream < 60_000; stream += 2) {
        const body = dataFrame(stream, Buffer.alloc(5), endStream);
        const call = [headersFrame(stream, '/a.b.C/D'), body];
        if (stream % 100 === 1) call.push(pings);
        if (!socket.write(Buffer.concat(call))) await sleep(5);
      }
      await eventually(() => {
        // The end of a connection is seen by who writes after it.
        socket.write(ping);
        return gone;
      });
      expect(process.memoryUsage().rss - beforeBytes).toBeLessThan(96 << 20);
      await undisturbed(on);
    });
  });
}

test('envoy_als has room in the end for messages that are longer than they were, however many wait', async () => {
  const sink = collector();
  const context = testContext({ budgetBytes: 1024 * 1024 });
  const on = await listeningGrpc('envoy_als', sink.deliver, {}, context);
  open.push(() => on.receiver.stop());
  const client = new RawClient(on.port);
  open.push(() => client.close());
  // Four letters in no order: a quarter of it remains.
  const text = Array.from(randomBytes(40_000), (byte) => 'abcd'[byte % 4]).join('');
  const packed = framed(gzipSync(messageOf('envoy_als', text)), 1);
  const answers = await Promise.all(
    Array.from({ length: 50 }, () =>
      client.call(pathOf('envoy_als'), packed, { 'grpc-encoding': 'gzip' }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 0));
  await sink.until(50);
  await eventually(() => context.budget.usedBytes === 0);
});

/** Streams that were reset, in order, in what a server has sent. */
function resetStreams(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === frameType.reset) found.push(bytes.readUInt32BE(at + 5));
  }
  return found;
}
