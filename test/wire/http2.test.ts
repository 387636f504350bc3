// HTTP/2 of our own, before peers that we did not write and before peers that break its rules.

import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { GrpcMethod } from '../../src/wire/grpc_method.ts';
import { sendReply } from '../../src/wire/grpc_reply.ts';
import type { GrpcServerOptions } from '../../src/wire/grpc_server.ts';
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
import { closed, connected, eventually } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** Answers with its headers as JSON, and with its message behind them. */
const mirror: GrpcMethod = {
  streaming: false,
  open: ({ headers }) => {
    let whole: Buffer = Buffer.alloc(0);
    return {
      message: (message) => {
        whole = message;
        return undefined;
      },
      end: () => ({ message: Buffer.concat([Buffer.from(JSON.stringify(headers)), whole]) }),
    };
  },
};
const quiet: GrpcMethod = {
  streaming: false,
  open: () => ({ message: () => undefined, end: () => ({ message: Buffer.alloc(0) }) }),
};

async function serving(options: Partial<GrpcServerOptions> = {}): Promise<number> {
  const methods = new Map([
    ['/mirror', mirror],
    ['/quiet', quiet],
  ]);
  const { server, port } = await grpcServing({ methods, ...options });
  open.push(() => server.stop(0));
  return port;
}

function session(port: number, options: object = {}): ClientHttp2Session {
  const made = connectHttp2(`http://127.0.0.1:${port}`, options);
  made.on('error', () => undefined);
  open.push(() => made.destroy());
  return made;
}

type Answer = { status: string | undefined; body: Buffer; rst: number | undefined };

function call(
  on: ClientHttp2Session,
  message: Buffer,
  headers: Record<string, string | string[]> = {},
): Promise<Answer> {
  const stream = on.request({
    ':method': 'POST',
    ':path': '/mirror',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const chunks: Buffer[] = [];
  let status: string | undefined;
  stream.on('trailers', (trailers) => {
    status = String(trailers['grpc-status']);
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => undefined);
  stream.end(framed(message));
  return new Promise((resolve) => {
    stream.on('close', () => resolve({ status, body: Buffer.concat(chunks), rst: stream.rstCode }));
  });
}

test('http2 reads headers of every kind as nghttp2 writes them', async () => {
  const on = session(await serving());
  const names = ['x-a', 'x-b', 'grpc-timeout', 'authorization', 'user-agent', 'cookie', 'via'];
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 150; round++) {
    const headers: Record<string, string> = {};
    for (let i = random(names.length); i >= 0; i--) {
      const printable = (): string => String.fromCharCode(0x21 + random(round % 3 === 0 ? 94 : 26));
      const length = round % 10 === 9 ? random(2000) : random(12);
      // A few come again, so that the table is used.
      headers[names[random(names.length)] as string] =
        random(2) === 0 ? 'again' : Array.from({ length }, printable).join('');
    }
    const { status, body } = await call(on, Buffer.alloc(0), headers);
    expect(status).toBe('0');
    expect(JSON.parse(body.subarray(5).toString())).toMatchObject(headers);
  }
});

test('http2 reads every byte that a value may have', async () => {
  const on = session(await serving());
  const bytes = Array.from({ length: 256 }, (_, i) => i).filter((i) => i === 9 || i > 31);
  const value = String.fromCharCode(...bytes.filter((i) => i !== 127)).trim();
  for (const text of [value, ...value].filter((text) => text.trim() !== '')) {
    const { body } = await call(on, Buffer.alloc(0), { 'x-a': text.repeat(3) });
    expect(JSON.parse(body.subarray(5).toString())['x-a']).toBe(text.repeat(3));
  }
});

test('http2 never refuses a peer that keeps to its limit of streams', async () => {
  const on = session(await serving({ maxConcurrentStreams: 5 }));
  await new Promise((settings) => on.once('remoteSettings', settings));
  let refused = 0;
  const turns = Array.from({ length: 5 }, async () => {
    for (let i = 0; i < 300; i++) {
      const { status } = await call(on, Buffer.alloc(50), { ':path': '/quiet' });
      if (status !== '0') refused++;
    }
  });
  await Promise.all(turns);
  expect(refused).toBe(0);
});

test('http2 opens the window of a stream as far as its message needs', async () => {
  const on = session(await serving());
  const windowBytes = 65_535;
  const prefixBytes = 5;
  for (const more of [-1, 0, 1, 2, 16_384, windowBytes, 900_000]) {
    const message = Buffer.alloc(windowBytes - prefixBytes + more, 'x');
    const { status, body } = await call(on, message);
    expect(status).toBe('0');
    expect(body.subarray(-message.length)).toEqual(message);
  }
});

test('http2 answers no faster than the windows of its peer allow', async () => {
  const port = await serving();
  for (const [initialWindowSize, bytes] of [
    [1, 300],
    [1000, 100_000],
    [100_000, 300_000],
  ] as const) {
    const on = session(port, { settings: { initialWindowSize } });
    const message = Buffer.alloc(bytes, 'x');
    const answers = await Promise.all([1, 2, 3].map(() => call(on, message)));
    for (const { status, body } of answers) {
      expect(status).toBe('0');
      expect(body.subarray(-bytes)).toEqual(message);
    }
  }
});

/** A peer by hand, and what it hears. */
async function peer(
  port: number,
): Promise<{ socket: Socket; heard: () => { type: number; stream: number; payload: Buffer }[] }> {
  const socket = await connected(port);
  open.push(() => socket.destroy());
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
  });
  return {
    socket,
    heard: () => {
      const frames: { type: number; stream: number; payload: Buffer }[] = [];
      for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
        const payload = bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3));
        frames.push({ type: bytes[at + 3] ?? 0, stream: bytes.readUInt32BE(at + 5), payload });
      }
      return frames;
    },
  };
}

const endHeaders = 4;
const padded = 8;
const message = framed(Buffer.from('hello'));
const headers = headersFrame(1, '/mirror');
const block = headers.subarray(9);
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

test('http2 reads frames however they are cut, padded and continued', async () => {
  const port = await serving();
  const paddedData = (bytes: Buffer, flags: number): Buffer =>
    dataFrame(1, Buffer.concat([Buffer.from([7]), bytes, Buffer.alloc(7)]), padded | flags);
  // Padding belongs to its frame: the block is cut before it.
  const first = [Buffer.from([3]), Buffer.alloc(5), block.subarray(0, 30), Buffer.alloc(3)];
  const whole = Buffer.concat([
    preface,
    settingsFrame([
      [2, 0],
      [200, 1],
    ]),
    frame(2, { stream: 1, payload: Buffer.alloc(5) }),
    frame(77, { stream: 1, payload: Buffer.from('unknown') }),
    frame(1, { flags: padded | 32, stream: 1, payload: Buffer.concat(first) }),
    frame(9, { stream: 1, payload: block.subarray(30, 31) }),
    frame(9, { stream: 1 }),
    frame(9, { flags: endHeaders, stream: 1, payload: block.subarray(31) }),
    dataFrame(1, Buffer.alloc(0)),
    paddedData(message.subarray(0, 3), 0),
    paddedData(Buffer.alloc(0), 0),
    dataFrame(1, message.subarray(3, 6)),
    paddedData(message.subarray(6), endStream),
  ]);
  for (const step of [1, 2, 3, 7, 10, 64, whole.length]) {
    const { socket, heard } = await peer(port);
    socket.setNoDelay(true);
    for (let at = 0; at < whole.length; at += step) {
      socket.write(whole.subarray(at, at + step));
      if (step < 64) await new Promise((round) => setImmediate(round));
    }
    await eventually(() => heard().some(({ type }) => type === frameType.data));
    const body = heard().find(({ type }) => type === frameType.data)?.payload;
    expect(body?.subarray(5).toString()).toMatch(/^\{.*"te":"trailers"\}hello$/);
    socket.destroy();
  }
});

describe('http2 ends a connection with a word for', () => {
  const half = frame(1, { stream: 1, payload: block.subarray(0, 5) });
  const window = (stream: number, bytes: number): Buffer =>
    frame(frameType.windowUpdate, { stream, payload: uint32(bytes) });
  for (const [what, code, ...frames] of [
    ['another first frame than settings', 1, headers],
    ['headers of an even stream', 1, settingsFrame([]), headersFrame(2, '/mirror')],
    ['headers of no stream', 1, settingsFrame([]), headersFrame(0, '/mirror')],
    ['data of a stream that is not open', 1, settingsFrame([]), dataFrame(1, message)],
    [
      'a reset of a stream that is not open',
      1,
      settingsFrame([]),
      frame(3, { stream: 1, payload: uint32(8) }),
    ],
    ['a window of a stream that is not open', 1, settingsFrame([]), window(1, 5)],
    ['a promise', 1, settingsFrame([]), frame(5, { stream: 1, payload: Buffer.alloc(8) })],
    ['a continuation of nothing', 1, settingsFrame([]), frame(9, { stream: 1 })],
    ['data inside headers', 1, settingsFrame([]), half, dataFrame(1, message)],
    ['headers inside headers', 1, settingsFrame([]), half, headersFrame(3, '/mirror')],
    [
      'more padding than data',
      1,
      settingsFrame([]),
      headers,
      dataFrame(1, Buffer.from([9, 1]), padded),
    ],
    ['settings of a stream', 1, frame(4, { stream: 1 })],
    ['half a setting', 6, frame(4, { payload: Buffer.alloc(5) })],
    ['an acknowledgement that says more', 6, frame(4, { flags: 1, payload: Buffer.alloc(6) })],
    ['pushes that are neither on nor off', 1, settingsFrame([[2, 2]])],
    ['frames that may not be long enough', 1, settingsFrame([[5, 16_383]])],
    ['frames that may be too long', 1, settingsFrame([[5, 2 ** 24]])],
    ['settings without an end', 11, settingsFrame(Array.from({ length: 33 }, () => [4, 1]))],
    ['a priority of no stream', 1, settingsFrame([]), frame(2, { payload: Buffer.alloc(5) })],
    [
      'headers of a stream that is over',
      5,
      settingsFrame([]),
      headers,
      dataFrame(1, message, endStream),
      frame(3, { stream: 1, payload: uint32(8) }),
      headers,
    ],
    [
      'headers of a stream that was passed over',
      5,
      settingsFrame([]),
      headersFrame(3, '/mirror'),
      headers,
    ],
    ['a window that is too large at first', 3, settingsFrame([[4, 2 ** 31]])],
    ['a window that becomes too large', 3, settingsFrame([]), window(0, 2 ** 31 - 1)],
    ['a window of nothing', 3, settingsFrame([]), window(0, 0)],
    ['a ping of another length', 6, settingsFrame([]), frame(6, { payload: Buffer.alloc(7) })],
    ['a reset of another length', 6, settingsFrame([]), headers, frame(3, { stream: 1 })],
    ['a frame that is too long', 6, settingsFrame([]), dataFrame(1, Buffer.alloc(16_385))],
    [
      'headers that cannot be decoded',
      9,
      settingsFrame([]),
      frame(1, { flags: 4, stream: 1, payload: Buffer.from([0x80]) }),
    ],
    [
      'headers without an end',
      11,
      settingsFrame([]),
      half,
      ...Array.from({ length: 40 }, () => frame(9, { stream: 1 })),
    ],
  ] as const) {
    test(what, async () => {
      const { socket, heard } = await peer(await serving());
      socket.write(Buffer.concat([preface, ...frames]));
      await closed(socket);
      const goaway = heard().find(({ type }) => type === frameType.goaway);
      expect(goaway?.payload.readUInt32BE(4)).toBe(code);
    });
  }

  test('streams that are opened and reset without an end', async () => {
    const { socket, heard } = await peer(await serving());
    const rounds = Array.from({ length: 1100 }, (_, i) => {
      const stream = 2 * i + 1;
      return [headersFrame(stream, '/mirror'), frame(3, { stream, payload: uint32(8) })];
    });
    socket.write(Buffer.concat([greeting, ...rounds.flat()]));
    await closed(socket);
    const goaway = heard().find(({ type }) => type === frameType.goaway);
    expect(goaway?.payload.readUInt32BE(4)).toBe(11);
    // It says how far it has come.
    expect(goaway?.payload.readUInt32BE(0)).toBeGreaterThan(2000);
  });

  test('streams that it has to reset without an end', async () => {
    const { socket, heard } = await peer(await serving());
    const rounds = Array.from({ length: 1100 }, (_, i) => {
      const stream = 2 * i + 1;
      return [headersFrame(stream, '/mirror'), window(stream, 0)];
    });
    socket.write(Buffer.concat([greeting, ...rounds.flat()]));
    await closed(socket);
    const goaway = heard().find(({ type }) => type === frameType.goaway);
    expect(goaway?.payload.readUInt32BE(4)).toBe(11);
  });
});

describe('http2 resets a stream, and the connection goes on, for', () => {
  const next = Buffer.concat([headersFrame(3, '/mirror'), dataFrame(3, message, endStream)]);
  const tooMuch = Array.from({ length: 5 }, () => dataFrame(1, Buffer.alloc(16_384)));
  const hanging: GrpcMethod = { ...quiet, admit: () => new Promise(() => undefined) };
  for (const [what, code, ...frames] of [
    [
      'more than its window while nobody reads',
      3,
      headersFrame(1, '/hangs'),
      dataFrame(1, framed(Buffer.alloc(100_000)).subarray(0, 10_000)),
      ...tooMuch,
    ],
    ['trailers that end nothing', 1, headers, headers],
    ['a window of nothing', 1, headers, frame(8, { stream: 1, payload: uint32(0) })],
    [
      'a window that becomes too large',
      3,
      headers,
      frame(8, { stream: 1, payload: uint32(2 ** 31 - 1) }),
    ],
    ['headers of HTTP/1.1', 1, headersFrame(1, '/mirror', { connection: 'close' })],
    ['no path', 1, headersFrame(1, '')],
    [
      'trailers after its end',
      5,
      headersFrame(1, '/waits'),
      dataFrame(1, message, endStream),
      headers,
    ],
    [
      'data of a stream that is over',
      5,
      headers,
      dataFrame(1, message, endStream),
      frame(3, { stream: 1, payload: uint32(8) }),
      dataFrame(1, message),
      dataFrame(1, message),
    ],
    [
      'data after its end',
      5,
      headersFrame(1, '/waits'),
      dataFrame(1, message, endStream),
      dataFrame(1, message),
    ],
  ] as const) {
    test(what, async () => {
      const waiting: GrpcMethod = {
        streaming: false,
        open: () => ({ message: () => undefined, end: () => undefined }),
      };
      const methods = new Map([
        ['/mirror', mirror],
        ['/hangs', hanging],
        ['/waits', waiting],
      ]);
      const { socket, heard } = await peer(await serving({ methods }));
      socket.write(Buffer.concat([greeting, ...frames, next]));
      await eventually(() => heard().some(({ type, stream }) => type === 0 && stream === 3));
      const resets = heard().filter(({ type }) => type === frameType.reset);
      expect(resets.map(({ stream, payload }) => [stream, payload.readUInt32BE(0)])).toEqual([
        [1, code],
      ]);
    });
  }
});

test('http2 bears any number of resets after its answers', async () => {
  const early: GrpcMethod = {
    streaming: true,
    open: ({ stream }) => {
      sendReply(stream, { message: Buffer.alloc(0) }, true);
      return { message: () => undefined, end: () => ({ message: Buffer.alloc(0) }) };
    },
  };
  const methods = new Map([
    ['/mirror', mirror],
    ['/early', early],
  ]);
  const { socket, heard } = await peer(await serving({ methods }));
  const rounds = Array.from({ length: 1100 }, (_, i) => {
    const stream = 2 * i + 1;
    return [headersFrame(stream, '/early'), frame(3, { stream, payload: uint32(8) })];
  });
  const last = [headersFrame(3001, '/mirror'), dataFrame(3001, message, endStream)];
  socket.write(Buffer.concat([greeting, ...rounds.flat(), ...last]));
  await eventually(() => heard().some(({ type, stream }) => type === 0 && stream === 3001));
});

test('http2 answers pings, and takes trailers for the end of a request', async () => {
  const { socket, heard } = await peer(await serving());
  const ping = frame(frameType.ping, { payload: Buffer.from('12345678') });
  const trailers = frame(1, {
    flags: endHeaders | endStream,
    stream: 1,
    payload: Buffer.from([0, 1, 0x61, 1, 0x62]),
  });
  socket.write(Buffer.concat([greeting, ping, headers, dataFrame(1, message), trailers]));
  await eventually(() => heard().some(({ type }) => type === frameType.data));
  expect(
    heard()
      .find(({ type }) => type === frameType.ping)
      ?.payload.toString(),
  ).toBe('12345678');
});

test('http2 gives a window again as it is read, and none while nobody reads', async () => {
  let goOn: () => void = () => undefined;
  const slow: GrpcMethod = {
    streaming: true,
    open: () => ({
      message: () =>
        new Promise((resolve) => {
          goOn = () => resolve(undefined);
        }),
      end: () => ({ message: Buffer.alloc(0) }),
    }),
  };
  const { socket, heard } = await peer(await serving({ methods: new Map([['/slow', slow]]) }));
  const updates = (): number =>
    heard().filter(({ type, stream }) => type === frameType.windowUpdate && stream === 1).length;
  const messages = framed(Buffer.alloc(16_379));
  const some = Array.from({ length: 3 }, () => dataFrame(1, messages));
  socket.write(Buffer.concat([greeting, headersFrame(1, '/slow'), ...some]));
  socket.write(frame(frameType.ping, { payload: Buffer.alloc(8) }));
  await eventually(() => heard().some(({ type }) => type === frameType.ping));
  expect(updates()).toBe(0);
  for (let i = 0; i < 3; i++) {
    goOn();
    await new Promise((round) => setImmediate(round));
  }
  await eventually(() => updates() === 1);
});

test('http2 survives whatever peers say, and good ones beside them notice nothing', async () => {
  let seed = 11;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const later = <T>(value: T): Promise<T> => new Promise((go) => setTimeout(go, random(3), value));
  const slow: GrpcMethod = {
    streaming: true,
    admit: () => later(undefined),
    open: (caller) => ({
      message: () => later(undefined),
      end: () => void later({ code: 14, details: 'später' }).then((reply) => caller.answer(reply)),
    }),
  };
  const methods = new Map([
    ['/mirror', mirror],
    ['/slow', slow],
  ]);
  const port = await serving({ methods, maxConcurrentStreams: 10, requestTimeout: 50 });
  const on = session(port);
  const anything = (last: number): Buffer => {
    const stream = random(9) === 0 ? random(30) : Math.max(1, last - 2 * random(5));
    const noise = Buffer.from(Array.from({ length: random(40) }, () => random(256)));
    const data = framed(Buffer.alloc(random(5) === 0 ? 16_000 : random(100)));
    const kinds = [
      headersFrame(last, random(2) === 0 ? '/mirror' : '/slow'),
      dataFrame(stream, data, random(2)),
      dataFrame(stream, Buffer.concat([Buffer.from([random(9)]), data]).subarray(0, 50), padded),
      frame(frameType.windowUpdate, { stream, payload: uint32(random(5000)) }),
      frame(frameType.reset, { stream, payload: uint32(8) }),
      settingsFrame([[4, random(70_000)]]),
      frame(frameType.ping, { flags: random(2), payload: Buffer.alloc(8) }),
      random(9) === 0 ? frame(random(12), { stream, flags: random(256), payload: noise }) : noise,
    ];
    return kinds[random(random(20) === 0 ? 8 : 7)] as Buffer;
  };
  const spoken = Array.from({ length: 60 }, async () => {
    const { socket } = await peer(port);
    let last = 1;
    socket.write(Buffer.concat([greeting, headersFrame(1, '/slow')]));
    for (let i = 0; i < 40 && !socket.destroyed; i++) {
      last += 2;
      const words = Buffer.concat(Array.from({ length: 5 }, () => anything(last)));
      const cut = random(words.length + 1);
      socket.write(words.subarray(0, cut));
      await later(undefined);
      socket.write(words.subarray(cut));
    }
    socket.destroy();
  });
  for (let i = 0; i < 20; i++) expect((await call(on, message)).status).toBe('0');
  await Promise.all(spoken);
  expect((await call(on, message)).body.subarray(-message.length)).toEqual(message);
});
