// Peers that want HTTP/2 of our own to spend more than they do: memory, time, or room for others.

import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import type { GrpcMethod } from '../../src/wire/grpc_method.ts';
import type { GrpcServerOptions } from '../../src/wire/grpc_server.ts';
import { type GrpcServing, grpcServing } from '../support/grpc_serving.ts';
import {
  dataFrame,
  endStream,
  frame,
  framed,
  frameType,
  headersFrame,
  preface,
  settingsFrame,
} from '../support/raw_http2.ts';
import { closed, connected, eventually } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const echo: GrpcMethod = {
  streaming: false,
  open: () => {
    let whole: Buffer = Buffer.alloc(0);
    return {
      message: (message) => {
        whole = message;
        return undefined;
      },
      end: () => ({ message: whole }),
    };
  },
};

async function serving(options: Partial<GrpcServerOptions> = {}): Promise<GrpcServing> {
  const methods = new Map([['/echo', echo]]);
  const made = await grpcServing({ methods, maxConcurrentStreams: 5000, ...options });
  open.push(() => made.server.stop(0));
  return made;
}

type Peer = {
  socket: Socket;
  say: (...frames: readonly Buffer[]) => void;
  /** The numbers that streams were reset with, and the connection was ended with. */
  resets: () => [stream: number, code: number][];
  goaway: () => number | undefined;
  /** Everything that was said before has been dealt with. */
  pong: () => Promise<void>;
};

async function peer(port: number): Promise<Peer> {
  const socket = await connected(port);
  open.push(() => socket.destroy());
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const heard = (type: number): { stream: number; payload: Buffer }[] => {
    const bytes = Buffer.concat(chunks);
    const frames: { stream: number; payload: Buffer }[] = [];
    for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
      const payload = bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3));
      if (bytes[at + 3] === type) frames.push({ stream: bytes.readUInt32BE(at + 5), payload });
    }
    return frames;
  };
  let pings = 0;
  return {
    socket,
    say: (...frames) => socket.write(Buffer.concat(frames)),
    resets: () =>
      heard(frameType.reset).map(({ stream, payload }) => [stream, payload.readUInt32BE(0)]),
    goaway: () => heard(frameType.goaway)[0]?.payload.readUInt32BE(4),
    pong: async () => {
      socket.write(frame(frameType.ping, { payload: Buffer.alloc(8) }));
      pings++;
      await eventually(() => heard(frameType.ping).length === pings);
    },
  };
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const window = (stream: number, bytes: number): Buffer =>
  frame(frameType.windowUpdate, { stream, payload: uint32(bytes) });
const settings = (...values: readonly (readonly [number, number])[]): Buffer =>
  Buffer.concat([preface, settingsFrame(values)]);
const many = (count: number, what: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => what(i)));
const call = (stream: number, message = Buffer.alloc(0)): Buffer =>
  Buffer.concat([headersFrame(stream, '/echo'), dataFrame(stream, framed(message), endStream)]);

/** CPU of this process, in milliseconds. */
async function cpuMs(of: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await of();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test('http2 answers peers that remember fewer headers than others', async () => {
  const { port } = await serving();
  for (const headerTableSize of [0, 100, 4095, 65_536]) {
    const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { headerTableSize } });
    open.push(() => session.destroy());
    for (const path of ['/echo', '/unknown', '/echo']) {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
      });
      let status: unknown;
      for (const event of ['response', 'trailers']) {
        stream.on(event, (headers) => {
          status = headers['grpc-status'] ?? status;
        });
      }
      stream.resume();
      stream.end(framed(Buffer.alloc(0)));
      await new Promise((done) => stream.on('close', done));
      expect(status).toBe(path === '/echo' ? '0' : '12');
    }
  }
});

test('http2 looks at streams that wait for their own window only when that is given', async () => {
  const { say, pong } = await peer((await serving()).port);
  say(settings([4, 0]));
  const oneByOne = (): Buffer => many(20_000, () => window(0, 1));
  await pong();
  const aloneMs = await cpuMs(async () => {
    say(oneByOne());
    await pong();
  });
  say(many(5000, (i) => call(2 * i + 1)));
  await pong();
  const withStreamsMs = await cpuMs(async () => {
    say(oneByOne());
    await pong();
  });
  expect(withStreamsMs).toBeLessThan(aloneMs * 4 + 200);
});

test('http2 gives the room of a connection to those that can use it, however it comes', async () => {
  const { port } = await serving();
  const { socket, say, pong } = await peer(port);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const message = Buffer.alloc(15_000);
  // All of the connection's room is used by some of the answers; stream 1 has a small window of its own.
  say(settings([4, 10]), call(1, message), settingsFrame([[4, 65_535]]));
  say(many(5, (i) => call(2 * i + 3, message)));
  await pong();
  const beforeBytes = bytes;
  say(settingsFrame([[4, 100]]), settingsFrame([[4, 30_000]]));
  say(many(60, () => window(0, 1000)));
  await eventually(() => bytes - beforeBytes > 6 * 15_000 - 65_535);
  await pong();
});

test('http2 bears settings that change all windows a few times only', async () => {
  const { socket, say, goaway } = await peer((await serving()).port);
  say(
    settings(),
    many(1100, (i) => settingsFrame([[4, 1000 + (i % 2)]])),
  );
  await closed(socket);
  expect(goaway()).toBe(11);
});

test('http2 is not told of windows beyond the largest by settings', async () => {
  const { socket, say, goaway } = await peer((await serving()).port);
  say(settings([4, 0]), headersFrame(1, '/echo'), window(1, 2 ** 31 - 1), settingsFrame([[4, 1]]));
  await closed(socket);
  expect(goaway()).toBe(3);
});

test('grpc_call keeps what waits together, however small its frames are', async () => {
  let goOn: () => void = () => undefined;
  let taken = 0;
  const open = new Promise<undefined>((resolve) => {
    goOn = () => resolve(undefined);
  });
  const method: GrpcMethod = {
    streaming: true,
    admit: () => open,
    open: () => ({
      message: () => {
        taken++;
        return undefined;
      },
      end: () => ({ message: Buffer.alloc(0) }),
    }),
  };
  const { say, pong } = await peer((await serving({ methods: new Map([['/slow', method]]) })).port);
  const spentMs = await cpuMs(async () => {
    // 60,000 zeros are 12,000 messages of nothing.
    say(settings(), headersFrame(1, '/slow'));
    say(many(60_000, () => dataFrame(1, Buffer.alloc(1))));
    await pong();
    goOn();
    await eventually(() => taken === 12_000);
  });
  expect(spentMs).toBeLessThan(3000);
});

test('grpc_call answers for handlers that throw, and the connection goes on', async () => {
  const fine = { message: () => undefined, end: () => ({ message: Buffer.alloc(0) }) };
  const fails = (): never => {
    throw new Error('a defect');
  };
  const methods = new Map<string, GrpcMethod>([
    ['/open', { streaming: false, open: fails }],
    ['/admit', { streaming: false, admit: fails, open: () => fine }],
    ['/place', { streaming: false, open: () => ({ ...fine, place: fails }) }],
    [
      '/later',
      { streaming: false, admit: async () => undefined, open: () => ({ ...fine, place: fails }) },
    ],
    ['/echo', echo],
  ]);
  const { port, refused } = await serving({ methods });
  const { say, pong, goaway } = await peer(port);
  say(settings());
  for (const [i, path] of [...methods.keys()].entries()) {
    const stream = 2 * i + 1;
    say(headersFrame(stream, path), dataFrame(stream, framed(Buffer.from('x')), endStream));
    await pong();
  }
  expect(refused).toEqual(['defect', 'defect', 'defect', 'defect']);
  expect(goaway()).toBe(undefined);
});

describe('http2 leaves a peer that does not go on', () => {
  const headers = headersFrame(1, '/echo');
  const half = frame(1, { stream: 1, payload: headers.subarray(9, 40) });
  for (const [what, bytes] of [
    ['before its greeting', Buffer.alloc(0)],
    ['inside its greeting', preface.subarray(0, 20)],
    ['after a preface without settings', preface],
    ['inside a frame', Buffer.concat([settings(), headers.subarray(0, 50)])],
    ['inside a block of headers', Buffer.concat([settings(), half])],
  ] as const) {
    test(what, async () => {
      const { port, refused } = await serving({ requestTimeout: 150 });
      const good = await peer(port);
      good.say(settings());
      const bad = await peer(port);
      bad.say(bytes);
      await closed(bad.socket);
      expect(refused).toEqual(['protocol']);
      await good.pong();
    });
  }

  test('but sends a byte now and then', async () => {
    const { port } = await serving({ requestTimeout: 150 });
    const { socket, say } = await peer(port);
    say(settings(), headers.subarray(0, 30));
    let at = 30;
    const drip = setInterval(() => socket.write(headers.subarray(at, ++at)), 20);
    await closed(socket);
    clearInterval(drip);
    expect(at).toBeLessThan(headers.length);
  });
});

test('grpc_server ends a stream inside of a message that does not come, but none between messages', async () => {
  const seen: string[] = [];
  const method: GrpcMethod = {
    streaming: true,
    open: ({ stream }) => ({
      message: () => undefined,
      end: () => ({ message: Buffer.alloc(0) }),
      abort: () => seen.push(`abort ${stream.id}`),
    }),
  };
  const methods = new Map([['/stream', method]]);
  const { port, refused } = await serving({ methods, requestTimeout: 150 });
  const { say, resets, pong } = await peer(port);
  const message = framed(Buffer.alloc(100));
  const agreed = frame(frameType.settings, { flags: 1 });
  say(settings(), agreed, headersFrame(1, '/stream'), dataFrame(1, message));
  say(headersFrame(3, '/stream'), dataFrame(3, message), dataFrame(3, message.subarray(0, 50)));
  await eventually(() => resets().length === 1);
  expect(resets()).toEqual([[3, 0]]);
  expect([seen, refused]).toEqual([['abort 3'], ['timeout']]);
  await pong();
});

test('http2 does not take a request for whole that says otherwise', async () => {
  const { port } = await serving();
  const { say, resets, pong } = await peer(port);
  const body = framed(Buffer.from('hello'));
  const said = (stream: number, length: string): Buffer =>
    headersFrame(stream, '/echo', { 'content-length': length });
  say(settings());
  say(said(1, '10'), dataFrame(1, body, endStream));
  say(said(3, '9'), dataFrame(3, body.subarray(0, 5)), dataFrame(3, body.subarray(5), endStream));
  say(said(5, '11'), dataFrame(5, body.subarray(0, 5)), dataFrame(5, body.subarray(5), endStream));
  say(said(7, 'ten'));
  await pong();
  expect(resets()).toEqual([
    [3, 1],
    [5, 1],
    [7, 1],
  ]);
});

test('http2 answers no further than its peer reads, whatever was asked in one go', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'http2-'));
  open.push(() => rm(folder, { recursive: true }));
  const path = join(folder, 'socket');
  const refusal = { code: 16, details: 'ä'.repeat(1000), reason: 'credentials' };
  // What is on its way through a unix socket is little, on any machine.
  const { refused } = await serving({
    address: { kind: 'unix', path },
    methods: new Map([['/', echo]]),
    authorize: () => refusal,
  });
  const socket = await connected({ path });
  open.push(() => socket.destroy());
  socket.pause();
  const type = [0x5f, 16, ...Buffer.from('application/grpc')];
  const request = (stream: number, fields: number[]): Buffer =>
    frame(frameType.headers, {
      flags: 4,
      stream,
      payload: Buffer.from([0x83, 0x86, 0x84, ...fields]),
    });
  // Thirteen bytes ask for six thousand.
  socket.write(Buffer.concat([settings(), request(1, type)]));
  socket.write(many(20_000, (i) => request(2 * i + 3, [0xbe])));
  await eventually(() => refused.length > 10);
  await sleep(100);
  expect(refused.length).toBeLessThan(1000);
  // Once it reads, nothing is missing.
  socket.resume();
  await eventually(() => refused.length === 20_001);
  const done = new Promise((end) => socket.once('close', end));
  socket.write(frame(frameType.ping, { payload: Buffer.alloc(7) }));
  await done;
});

test('grpc_call knows no encodings by the names of what every object has', async () => {
  const { port, refused } = await serving();
  const { say, pong } = await peer(port);
  const names = ['toString', 'constructor', '__proto__'];
  say(settings());
  for (const [i, encoding] of names.entries()) {
    const stream = 2 * i + 1;
    say(headersFrame(stream, '/echo', { 'grpc-encoding': encoding }));
    say(dataFrame(stream, framed(Buffer.from('x'), 1), endStream));
  }
  await pong();
  expect(refused).toEqual(names.map(() => 'unsupported_encoding'));
});

test('grpc_call takes few bombs apart at the same time', async () => {
  const bytes = 8 * 1024 * 1024;
  const { port, refused } = await serving({ messageBytesMax: bytes });
  const { say } = await peer(port);
  const bomb = framed(gzipSync(Buffer.alloc(bytes + 1)), 1);
  const half = (stream: number): Buffer =>
    Buffer.concat([
      headersFrame(stream, '/echo', { 'grpc-encoding': 'gzip' }),
      dataFrame(stream, bomb.subarray(0, 8000)),
      dataFrame(stream, bomb.subarray(8000), endStream),
    ]);
  let mostBytes = 0;
  const before = process.memoryUsage().arrayBuffers;
  const watch = setInterval(() => {
    mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers - before);
  }, 1);
  say(
    settings(),
    many(30, (i) => half(2 * i + 1)),
  );
  await eventually(() => refused.length === 30);
  clearInterval(watch);
  expect(mostBytes).toBeLessThan(150 * 1024 * 1024);
});
