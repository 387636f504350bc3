// The HTTP/2 client of ours before servers that we did not write.

import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import { connect } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import type { GrpcClient, GrpcClientOptions } from '../../src/wire/grpc_client.ts';
import { grpcPrefixBytes } from '../../src/wire/grpc_unary.ts';
import { ClientConnection } from '../../src/wire/http2/client_connection.ts';
import type { StreamEnd } from '../../src/wire/http2/client_stream.ts';
import { secretHeaderBlock } from '../../src/wire/http2/frames.ts';
import { grpcCalling } from '../support/grpc_calling.ts';
import { eventually, listening } from '../support/sockets.ts';
import { authority } from '../support/tls.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

type Answerer = (stream: ServerHttp2Stream, session: ServerHttp2Session) => void;

/** A server of node:http2 that does with each stream what it is told. */
async function serving(answer: Answerer, settings: Settings = {}): Promise<number> {
  return started(createServer({ settings }), answer);
}

async function started(server: Http2Server, answer: Answerer): Promise<number> {
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    answer(stream, stream.session as ServerHttp2Session);
  });
  open.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return listening(server);
}

function client(port: number, options: Partial<GrpcClientOptions> = {}): GrpcClient {
  const made = grpcCalling(port, options);
  open.push(() => made.close());
  return made;
}

/** A message of so many bytes, none like another of another seed, behind room for its prefix. */
function message(bytes: number, seed = 1): Buffer {
  const made = Buffer.alloc(grpcPrefixBytes + bytes);
  for (let i = grpcPrefixBytes; i < made.length; i++) made[i] = (i * seed + (i >> 8)) & 255;
  return made;
}

const ok = { ':status': 200, 'content-type': 'application/grpc' };

function succeed(stream: ServerHttp2Stream): void {
  stream.respond(ok, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.alloc(grpcPrefixBytes));
}

/** Reads a request to its end and gives its bytes. */
function whole(stream: ServerHttp2Stream, then: (bytes: Buffer) => void): void {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => then(Buffer.concat(chunks)));
}

test('http2_client: messages of any size arrive byte for byte through any windows', async () => {
  const world = fc.record({
    sizes: fc.array(
      fc.oneof(fc.nat(40), fc.integer({ min: 16_370, max: 16_400 }), fc.nat(300_000)),
      {
        minLength: 1,
        maxLength: 5,
      },
    ),
    initialWindowSize: fc.constantFrom(0, 1000, 16_384, 65_535, 1 << 20),
    laterWindowSize: fc.constantFrom(700, 20_000, 65_535, 2 << 20),
    maxFrameSize: fc.constantFrom(16_384, 16_385, 100_000, 1 << 20),
    connectionWindow: fc.constantFrom(65_535, 1 << 20),
    maxConcurrentStreams: fc.constantFrom(1, 3, 100),
  });
  await fc.assert(
    fc.asyncProperty(world, async ({ sizes, laterWindowSize, connectionWindow, ...settings }) => {
      const got: string[] = [];
      const port = await serving((stream, session) => {
        session.setLocalWindowSize(connectionWindow);
        session.settings({ ...settings, initialWindowSize: laterWindowSize });
        whole(stream, (bytes) => {
          got.push(bytes.toString('base64'));
          succeed(stream);
        });
      }, settings);
      const one = client(port);
      const sent = sizes.map((size, i) => message(size, i + 1));
      const outcomes = await Promise.all(sent.map((bytes) => one.call('/a/b', bytes)));
      expect(outcomes.map(({ code, details }) => [code, details])).toEqual(
        sizes.map(() => [0, '']),
      );
      // The prefix was filled in.
      expect(got.toSorted()).toEqual(sent.map((bytes) => bytes.toString('base64')).toSorted());
    }),
    { numRuns: 40 },
  );
});

test('http2_client sends through a window of a few bytes', async () => {
  const sent = message(3000);
  let got: Buffer = Buffer.alloc(0);
  const settings = { initialWindowSize: 7, headerTableSize: 0 };
  const port = await serving((stream) => {
    whole(stream, (bytes) => {
      got = bytes;
      succeed(stream);
    });
  }, settings);
  const one = client(port);
  for (let i = 0; i < 3; i++) {
    expect(await one.call('/a/b', sent)).toMatchObject({ code: 0 });
    expect(got.equals(sent)).toBe(true);
  }
});

test('http2_client has no more streams open than its peer allows, and those that give up free their turn', async () => {
  let running = 0;
  let most = 0;
  const held: (() => void)[] = [];
  const port = await serving(
    (stream) => {
      most = Math.max(most, ++running);
      stream.on('close', () => running--);
      stream.resume();
      held.push(() => succeed(stream));
    },
    { maxConcurrentStreams: 3 },
  );
  const one = client(port);
  const giveUp = new AbortController();
  const lost = Array.from({ length: 10 }, () => one.call('/a/b', message(10), giveUp.signal));
  const kept = Array.from({ length: 20 }, (_, i) => one.call('/a/b', message(i * 2000)));
  await eventually(() => held.length === 3);
  giveUp.abort();
  expect((await Promise.all(lost)).map(({ code }) => code)).toEqual(Array(10).fill(1));
  const answering = setInterval(() => held.shift()?.(), 1);
  open.push(() => clearInterval(answering));
  expect((await Promise.all(kept)).map(({ code }) => code)).toEqual(Array(20).fill(0));
  expect(most).toBe(3);
});

for (const [code, wanted, details] of [
  [0, 14, 'the peer reset the stream: NO_ERROR'],
  [1, 14, 'the peer reset the stream: PROTOCOL_ERROR'],
  [2, 14, 'the peer reset the stream: INTERNAL_ERROR'],
  [7, 14, 'the peer takes no more calls'],
  [8, 14, 'the peer reset the stream: CANCEL'],
  [11, 14, 'the peer is overloaded'],
  [4711, 14, 'the peer reset the stream: error 4711'],
] as const) {
  test(`http2_client: a reset with code ${code} is "${details}", and the next call goes on`, async () => {
    let streams = 0;
    const port = await serving((stream) => {
      streams++;
      stream.resume();
      if (streams > (code === 7 ? 2 : 1)) succeed(stream);
      else stream.close(code);
    });
    const one = client(port);
    expect(await one.call('/a/b', message(10))).toMatchObject({ code: wanted, details });
    expect((await one.call('/a/b', message(10))).code).toBe(0);
    // Only what the peer has not looked at was tried again at once.
    expect(streams).toBe(code === 7 ? 3 : 2);
  });
}

test('http2_client hears an answer that comes before its request is whole, and a success is none', async () => {
  for (const [status, code, details] of [
    ['8', 8, 'too%20large'],
    ['0', 13, undefined],
  ] as const) {
    let resets = 0;
    const port = await serving((stream) => {
      stream.on('close', () => resets++);
      const headers = { ...ok, 'grpc-status': status, ...(details && { 'grpc-message': details }) };
      stream.respond(headers, { endStream: true });
    });
    const outcome = await client(port).call('/a/b', message(1_000_000));
    expect(outcome.code).toBe(code);
    expect(outcome.details).toMatch(code === 8 ? /^too large$/ : /before it had the whole request/);
    await eventually(() => resets === 1);
  }
});

test('http2_client ends calls under way before it closes, and then closes', async () => {
  let answer: (() => void) | undefined;
  let closed = false;
  const port = await serving((stream, session) => {
    stream.resume();
    session.on('close', () => {
      closed = true;
    });
    answer = () => succeed(stream);
  });
  const one = client(port);
  const call = one.call('/a/b', message(10));
  await eventually(() => answer !== undefined);
  one.close();
  await new Promise((done) => setTimeout(done, 50));
  expect(closed).toBe(false);
  answer?.();
  expect((await call).code).toBe(0);
  await eventually(() => closed);
});

test('http2_client takes no more calls when it has no more numbers for streams', async () => {
  const port = await serving((stream) => whole(stream, () => succeed(stream)));
  const socket = connect(port, '127.0.0.1');
  const said: string[] = [];
  const connection = new ClientConnection(
    {
      answerWindow: 1000,
      ready: () => said.push('ready'),
      leaving: () => said.push('leaving'),
      closed: () => said.push('closed'),
    },
    2 ** 31 - 3,
  );
  socket.on('data', (chunk: Buffer) => connection.read(chunk, chunk.length));
  connection.start(socket);
  await eventually(() => connection.takesCalls);
  const ends: StreamEnd['kind'][] = [];
  const headers = { ':method': 'POST', ':scheme': 'http', ':path': '/', ':authority': 'a' };
  const block = secretHeaderBlock(headers);
  for (const takes of [true, false]) {
    const reader = {
      headers: () => undefined,
      data: () => undefined,
      isSuccess: () => true,
      closed: ({ kind }: StreamEnd) => ends.push(kind),
    };
    connection.request({ block, body: message(20_000) }, reader);
    expect(connection.takesCalls).toBe(takes);
  }
  await eventually(() => said.includes('closed'));
  expect(ends).toEqual(['answered', 'answered']);
  expect(said).toEqual(['ready', 'leaving', 'closed']);
});

test('http2_client over TLS: large messages arrive, and a peer without HTTP/2 is named', async () => {
  const root = authority();
  const { cert, key } = root.issue(['DNS:collector.example']);
  const tls = { ca: root.cert, servername: 'collector.example' };
  const sent = Array.from({ length: 4 }, (_, i) => message(700_000 + i, i + 1));
  const got: Buffer[] = [];
  const settings = { initialWindowSize: 1 << 20, maxFrameSize: 1 << 18 };
  const port = await started(createSecureServer({ cert, key, settings }), (stream) =>
    whole(stream, (bytes) => {
      got.push(bytes);
      succeed(stream);
    }),
  );
  const one = client(port, { tls });
  const outcomes = await Promise.all(sent.map((bytes) => one.call('/a/b', bytes)));
  expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  for (const bytes of sent) expect(got.some((other) => other.equals(bytes))).toBe(true);
  const other = createTlsServer({ cert, key }, (socket) => socket.on('error', () => undefined));
  open.push(() => other.close());
  const outcome = await client(await listening(other), { tls }).call('/a/b', message(1));
  expect(outcome.code).toBe(14);
  expect(outcome.details).toMatch(/^cannot connect to .*: the peer does not offer HTTP\/2$/);
});

test('http2_client says what is wrong with its certificate, and waits for nothing then', async () => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const outcome = await client(1, { tls: { cert: 'nonsense', key: 'x' } }).call('/a', message(1));
  expect(outcome).toMatchObject({ code: 14, details: expect.stringContaining('no start line') });
  expect(timers()).toBe(before);
});
