import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { GrpcReply } from '../../src/wire/grpc_call.ts';
import type { GrpcHandler, GrpcMethod } from '../../src/wire/grpc_method.ts';
import type { GrpcServerOptions } from '../../src/wire/grpc_server.ts';
import { serverCertificates } from '../../src/wire/tls.ts';
import { type GrpcServing, grpcServing, noKeepalive } from '../support/grpc_serving.ts';
import { eventually } from '../support/sockets.ts';
import { authority, certificateFolder } from '../support/tls.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const same = (bytes: Buffer): Buffer => bytes;

async function serving(
  methods: Record<string, GrpcMethod>,
  options: Partial<GrpcServerOptions> & {
    keepaliveOptions?: Partial<GrpcServerOptions['keepalive']>;
  } = {},
): Promise<GrpcServing> {
  const { keepaliveOptions, ...rest } = options;
  const made = await grpcServing({
    methods: new Map(Object.entries(methods)),
    keepalive: { ...noKeepalive, ...keepaliveOptions },
    ...rest,
  });
  open.push(() => made.server.stop(0));
  return made;
}

function client(
  port: number,
  credentials?: grpc.ChannelCredentials,
  options: object = {},
): grpc.Client {
  const made = new grpc.Client(
    `localhost:${port}`,
    credentials ?? grpc.credentials.createInsecure(),
    {
      'grpc.max_send_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
      ...options,
    },
  );
  open.push(() => made.close());
  return made;
}

/** The reply to one message, or the status. */
function call(
  to: grpc.Client,
  message: Buffer,
  path = '/echo',
): Promise<Buffer | { code: number; details: string; metadata: grpc.Metadata }> {
  return new Promise((resolve) => {
    to.makeUnaryRequest(path, same, same, message, (error, reply) => {
      resolve(error ?? reply ?? Buffer.alloc(0));
    });
  });
}

function unary(answer: (message: Buffer) => GrpcReply | Promise<GrpcReply>): GrpcMethod {
  return {
    streaming: false,
    open: (caller) => {
      let whole: Buffer = Buffer.alloc(0);
      return {
        message: (message) => {
          whole = message;
          return undefined;
        },
        end: () => {
          const reply = answer(whole);
          if (!(reply instanceof Promise)) return reply;
          void reply.then((later) => caller.answer(later));
          return undefined;
        },
      };
    },
  };
}

const echo = unary((message) => ({ message }));

/** A method for streams of messages that keeps what it sees. */
function recorder(more: Partial<GrpcHandler> = {}): {
  method: GrpcMethod;
  seen: string[];
  skipped: number[];
  ends: string[];
} {
  const seen: string[] = [];
  const skipped: number[] = [];
  const ends: string[] = [];
  const method: GrpcMethod = {
    streaming: true,
    open: () => ({
      message: (message) => {
        seen.push(message.length > 20 ? String(message.length) : message.toString());
        return undefined;
      },
      end: () => {
        ends.push('end');
        return { message: Buffer.from(String(seen.length)) };
      },
      abort: () => ends.push('abort'),
      skipped: (bytes) => skipped.push(bytes),
      ...more,
    }),
  };
  return { method, seen, skipped, ends };
}

test('grpc_server answers a call of any size', async () => {
  const { port } = await serving({ '/echo': echo });
  const to = client(port);
  for (const size of [0, 1, 5, 16_384, 70_000, 1024 * 1024]) {
    const message = Buffer.alloc(size, 'x');
    expect(await call(to, message)).toEqual(message);
  }
});

test('grpc_server answers many calls at once', async () => {
  const { port } = await serving({ '/echo': echo });
  const to = client(port);
  const messages = Array.from({ length: 500 }, (_, i) => Buffer.from(`message ${i}`));
  expect(await Promise.all(messages.map((message) => call(to, message)))).toEqual(messages);
});

test('grpc_server passes on status, details in any language, and their protobuf', async () => {
  const { port } = await serving({
    '/echo': unary(() => ({ code: 14, details: 'später 100%\n', status: Buffer.from([8, 14]) })),
    '/throws': unary(() => {
      throw new Error('a defect');
    }),
  });
  const to = client(port);
  const answer = await call(to, Buffer.from('x'));
  expect(answer).toMatchObject({ code: 14, details: 'später 100%\n' });
  expect((answer as grpc.ServiceError).metadata.get('grpc-status-details-bin')).toEqual([
    Buffer.from([8, 14]),
  ]);
  expect(await call(to, Buffer.from('x'), '/throws')).toMatchObject({
    code: 13,
    details: 'a defect',
  });
  expect(await call(to, Buffer.from('x'), '/unknown')).toMatchObject({ code: 12 });
});

test('grpc_server refuses a message over the limit while it is sent, and the connection lives', async () => {
  const { port } = await serving({ '/echo': echo }, { messageBytesMax: 1000 });
  const to = client(port);
  for (const size of [1001, 5_000_000]) {
    expect(await call(to, Buffer.alloc(size))).toMatchObject({
      code: 8,
      details: `Received message larger than max (${size} vs. 1000)`,
    });
  }
  expect(await call(to, Buffer.from('x'))).toEqual(Buffer.from('x'));
});

test('grpc_server asks for room before it reads a message', async () => {
  const asked: number[] = [];
  let answer: Promise<undefined> | { code: number; details: string } | undefined;
  const { port } = await serving({
    '/echo': {
      ...echo,
      admit: (bytes) => {
        asked.push(bytes);
        return answer;
      },
    },
  });
  const to = client(port);
  let letIn: () => void = () => undefined;
  answer = new Promise((resolve) => {
    letIn = () => resolve(undefined);
  });
  const waiting = call(to, Buffer.alloc(500_000));
  while (asked.length === 0) await new Promise((done) => setTimeout(done, 5));
  expect(await Promise.race([waiting, new Promise((done) => setTimeout(done, 50, 'waits'))])).toBe(
    'waits',
  );
  letIn();
  expect((await waiting) as Buffer).toHaveLength(500_000);
  answer = { code: 14, details: 'no room' };
  expect(await call(to, Buffer.alloc(500_000))).toMatchObject({ code: 14, details: 'no room' });
  expect(asked).toEqual([500_000, 500_000]);
});

/** The answer to raw bytes on a stream. */
async function raw(
  port: number,
  body: Buffer,
  headers: Record<string, string> = {},
  end = true,
): Promise<{ status: unknown; http: unknown; message: unknown }> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/echo',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  let found: { status: unknown; http: unknown; message: unknown } = {
    status: '',
    http: '',
    message: '',
  };
  stream.on('error', () => undefined);
  stream.on('response', (answer) => {
    found = {
      status: answer['grpc-status'],
      http: answer[':status'],
      message: answer['grpc-message'],
    };
  });
  stream.on('trailers', (trailers) => {
    found = { ...found, status: trailers['grpc-status'] };
  });
  stream.resume();
  stream.write(body);
  if (end) stream.end();
  await once(stream, 'close');
  session.destroy();
  return found;
}

const framed = (message: Buffer, compressed = 0): Buffer => {
  const frame = Buffer.alloc(5);
  frame[0] = compressed;
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
};

describe('grpc_server bears', () => {
  test('compressed messages, and no bombs', async () => {
    const { port } = await serving({ '/echo': echo }, { messageBytesMax: 10_000 });
    const text = Buffer.alloc(9000, 'x');
    for (const [encoding, packed] of [
      ['gzip', gzipSync(text)],
      ['zstd', zstdCompressSync(text)],
    ] as const) {
      expect(await raw(port, framed(packed, 1), { 'grpc-encoding': encoding })).toMatchObject({
        status: '0',
      });
      expect(
        await raw(port, framed(Buffer.from('no'), 1), { 'grpc-encoding': encoding }),
      ).toMatchObject({ status: '13' });
    }
    const bomb = framed(gzipSync(Buffer.alloc(1_000_000)), 1);
    expect(await raw(port, bomb, { 'grpc-encoding': 'gzip' })).toMatchObject({ status: '8' });
    expect(await raw(port, framed(text, 1), { 'grpc-encoding': 'br' })).toMatchObject({
      status: '12',
    });
    expect(await raw(port, framed(text, 1))).toMatchObject({ status: '12' });
    expect(await raw(port, framed(text, 0), { 'grpc-encoding': 'gzip' })).toMatchObject({
      status: '0',
    });
  });

  test('calls that are none', async () => {
    const { port } = await serving({ '/echo': echo });
    expect(await raw(port, Buffer.from([0, 0, 0, 0, 9, 1]))).toMatchObject({ status: '13' });
    expect(await raw(port, Buffer.from([0, 0]))).toMatchObject({ status: '13' });
    expect(await raw(port, Buffer.alloc(0))).toMatchObject({ status: '13' });
    expect(
      await raw(port, Buffer.concat([framed(Buffer.from('a')), framed(Buffer.from('b'))])),
    ).toMatchObject({ status: '13' });
    expect(
      await raw(port, framed(Buffer.from('a')), { 'content-type': 'text/plain' }),
    ).toMatchObject({ http: 415 });
    expect(await raw(port, Buffer.alloc(0), { ':method': 'PUT' })).toMatchObject({ http: 405 });
    expect(await call(client(port), Buffer.from('x'))).toEqual(Buffer.from('x'));
  });

  test('bytes that are no HTTP/2', async () => {
    const { port, refused } = await serving({ '/echo': echo });
    for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x02', 'x'.repeat(100_000)]) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.end(garbage);
      socket.resume();
      await once(socket, 'close');
    }
    expect(await call(client(port), Buffer.from('x'))).toEqual(Buffer.from('x'));
    expect(refused.filter((reason) => reason === 'protocol').length).toBeGreaterThanOrEqual(2);
  });

  test('a request that is never finished', async () => {
    const { port } = await serving({ '/echo': echo }, { requestTimeout: 100 });
    expect(await raw(port, Buffer.from([0, 0, 0, 0, 9, 1]), {}, false)).toMatchObject({
      status: '4',
    });
  });
});

/** A stream of messages to the server, and how it ends. */
function streamTo(
  to: grpc.Client,
  path: string,
): {
  send: (message: Buffer) => void;
  end: () => void;
  call: grpc.ClientWritableStream<Buffer>;
  outcome: Promise<Buffer | grpc.ServiceError | undefined>;
} {
  let done: (value: Buffer | grpc.ServiceError | undefined) => void = () => undefined;
  const outcome = new Promise<Buffer | grpc.ServiceError | undefined>((resolve) => {
    done = resolve;
  });
  const stream = to.makeClientStreamRequest(path, same, same, (error, reply) =>
    done(error ?? reply),
  );
  stream.on('error', () => undefined);
  return {
    send: (message) => stream.write(message),
    end: () => stream.end(),
    call: stream,
    outcome,
  };
}

test('grpc_server reads streams of messages and passes over those that are too long', async () => {
  const { method, seen, skipped, ends } = recorder();
  const { port } = await serving({ '/stream': method }, { messageBytesMax: 100_000 });
  const stream = streamTo(client(port), '/stream');
  for (const size of [3, 300_000, 70_000]) stream.send(Buffer.alloc(size, 'x'));
  stream.send(Buffer.from('last'));
  stream.end();
  expect(String(await stream.outcome)).toBe('3');
  expect({ seen, skipped, ends }).toEqual({
    seen: ['xxx', '70000', 'last'],
    skipped: [300_000],
    ends: ['end'],
  });
});

test('grpc_server reads no further while a message is not taken, and the sender is held', async () => {
  let goOn: () => void = () => undefined;
  let taken = 0;
  const { method } = recorder({
    message: () => {
      taken++;
      return new Promise<undefined>((resolve) => {
        goOn = () => resolve(undefined);
      });
    },
  });
  const { port } = await serving({ '/stream': method });
  const stream = streamTo(client(port), '/stream');
  let flushed = 0;
  for (let i = 0; i < 200; i++) stream.call.write(Buffer.alloc(50_000), () => flushed++);
  stream.end();
  await new Promise((done) => setTimeout(done, 200));
  expect(taken).toBe(1);
  expect(flushed).toBeLessThan(60);
  const hurry = setInterval(() => goOn(), 1);
  open.push(() => clearInterval(hurry));
  await stream.outcome;
  expect(taken).toBe(200);
});

test('grpc_server puts a message together where its handler wants it', async () => {
  const places: Buffer[] = [];
  const { port } = await serving({
    '/echo': {
      streaming: false,
      open: () => {
        let whole: Buffer = Buffer.alloc(0);
        return {
          place: (bytes) => {
            places.push(Buffer.alloc(bytes + 10, '-'));
            return places.at(-1) as Buffer;
          },
          message: (message) => {
            whole = message;
            return undefined;
          },
          end: () => ({ message: whole }),
        };
      },
    },
  });
  const to = client(port);
  for (const size of [0, 3, 100_000]) {
    const message = Buffer.alloc(size, 'x');
    expect(await call(to, message)).toEqual(message);
    const place = places.at(-1) as Buffer;
    expect(place.subarray(0, size)).toEqual(message);
    expect(place.subarray(size).toString()).toBe('-'.repeat(10));
  }
});

test('grpc_server tells a handler when its peer is gone', async () => {
  const { method, ends, seen } = recorder();
  const { port } = await serving({ '/stream': method });
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/stream',
    'content-type': 'application/grpc',
  });
  stream.on('error', () => undefined);
  stream.write(Buffer.concat([framed(Buffer.from('one')), Buffer.from([0, 0, 0, 0, 9])]));
  while (seen.length === 0) await new Promise((done) => setTimeout(done, 5));
  session.destroy();
  while (ends.length === 0) await new Promise((done) => setTimeout(done, 5));
  expect([seen, ends]).toEqual([['one'], ['abort']]);
});

test('grpc_server stops after what is under way, and sends peers elsewhere', async () => {
  let answer: (() => void) | undefined;
  const { server, port } = await serving({
    '/echo': unary(
      (message) =>
        new Promise((resolve) => {
          answer = () => resolve({ message });
        }),
    ),
  });
  const to = client(port);
  const under = call(to, Buffer.from('under way'));
  await eventually(() => answer !== undefined);
  const stopped = server.stop(5000);
  await new Promise((done) => setTimeout(done, 50));
  expect(await call(to, Buffer.from('late'))).toMatchObject({ code: 14 });
  answer?.();
  expect(String(await under)).toBe('under way');
  await stopped;
  expect(server.connections).toBe(0);
});

test('grpc_server closes connections that are old or idle, once their calls are answered', async () => {
  for (const keepaliveOptions of [{ maxConnectionAge: 200 }, { maxConnectionIdle: 200 }]) {
    const { server, port } = await serving({ '/echo': echo }, { keepaliveOptions });
    const to = client(port);
    expect(await call(to, Buffer.from('x'))).toEqual(Buffer.from('x'));
    expect(server.connections).toBe(1);
    while (server.connections > 0) await new Promise((done) => setTimeout(done, 20));
    expect(await call(to, Buffer.from('y'))).toEqual(Buffer.from('y'));
  }
});

test('grpc_server leaves a peer that does not answer pings', async () => {
  const { server, port } = await serving(
    { '/echo': echo },
    { keepaliveOptions: { time: 100, timeout: 100 } },
  );
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  // Preface and empty settings, then silence.
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  while (server.connections === 0) await new Promise((done) => setTimeout(done, 5));
  socket.resume();
  await once(socket, 'close');
  expect(server.connections).toBe(0);
});

test('grpc_server keeps to its limit of connections', async () => {
  const { port, refused } = await serving({ '/echo': echo }, { maxConnections: 2 });
  const [one, two, three] = [client(port), client(port), client(port)];
  for (const to of [one, two]) expect(await call(to, Buffer.from('x'))).toEqual(Buffer.from('x'));
  expect(await call(three, Buffer.from('x'))).toMatchObject({ code: 14 });
  expect(refused).toContain('limit');
});

test('grpc_server lets in only the identities that are allowed, with TLS', async () => {
  const ca = authority();
  const folder = await certificateFolder();
  const own = await folder.put('server', ca.issue(['DNS:localhost', 'IP:127.0.0.1']));
  const settings = {
    ...own,
    client_ca_file: await folder.write('ca.crt', ca.cert),
    min_version: '1.2' as const,
    reload_interval: 0,
  };
  const log = { info: () => undefined, warn: () => undefined };
  const certificates = await serverCertificates(settings, { baseDirectory: folder.directory, log });
  const { port, refused } = await serving(
    { '/echo': echo },
    { tls: { settings, certificates }, allowedSpiffeIds: ['spiffe://mesh/ns/shop/*'] },
  );
  const as = (identity: string): grpc.ChannelCredentials => {
    const { cert, key } = ca.issue([`URI:${identity}`]);
    return grpc.credentials.createSsl(Buffer.from(ca.cert), Buffer.from(key), Buffer.from(cert));
  };
  expect(await call(client(port, as('spiffe://mesh/ns/shop/sa/a')), Buffer.from('x'))).toEqual(
    Buffer.from('x'),
  );
  expect(
    await call(client(port, as('spiffe://mesh/ns/other/sa/a')), Buffer.from('x')),
  ).toMatchObject({ code: 14 });
  const stranger = grpc.credentials.createSsl(Buffer.from(ca.cert));
  expect(await call(client(port, stranger), Buffer.from('x'))).toMatchObject({ code: 14 });
  expect(refused).toContain('identity spiffe://mesh/ns/other/sa/a');
});
