import { connect as connectHttp2 } from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { Health } from '../../src/wire/grpc_health.ts';
import { GrpcServer } from '../../src/wire/grpc_server.ts';
import { eventually } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

type Serving = { server: GrpcServer; health: Health; port: number };

async function serving(maxConnectionAge = 0): Promise<Serving> {
  const health = new Health(['/a.Logs/Export', '/a.Logs/Other', '/b.Logs/Export']);
  const server = new GrpcServer({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    allowedSpiffeIds: [],
    maxConnections: 100,
    maxConcurrentStreams: 1000,
    messageBytesMax: 8 * 1024 * 1024,
    keepalive: {
      time: 0,
      timeout: 1000,
      maxConnectionAge,
      maxConnectionAgeGrace: 0,
      maxConnectionIdle: 0,
    },
    requestTimeout: 0,
    methods: new Map(health.methods),
  });
  await server.listen();
  open.push(() => server.stop(0));
  const { address } = server;
  return { server, health, port: address.kind === 'tcp' ? address.port : 0 };
}

function client(port: number): grpc.Client {
  const made = new grpc.Client(`localhost:${port}`, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  open.push(() => made.close());
  return made;
}

/** HealthCheckRequest. */
const asking = (service: string): Buffer =>
  service === '' ? Buffer.alloc(0) : Buffer.from([0x0a, service.length, ...Buffer.from(service)]);
const path = (method: string): string => `/grpc.health.v1.Health/${method}`;
const same = (bytes: Buffer): Buffer => bytes;

/** The status that HealthCheckResponse says, or the code of the refusal. */
function check(to: grpc.Client, service: string): Promise<number | { code: number }> {
  return new Promise((resolve) => {
    to.makeUnaryRequest(path('Check'), same, same, asking(service), (error, reply) => {
      resolve(error === null ? (reply?.[1] ?? 0) : { code: error.code });
    });
  });
}

type Watched = {
  seen: number[];
  ended: number | undefined;
  call: grpc.ClientReadableStream<Buffer>;
};

function watch(to: grpc.Client, service: string): Watched {
  const call = to.makeServerStreamRequest(path('Watch'), same, same, asking(service));
  const watched: Watched = { seen: [], ended: undefined, call };
  call.on('data', (bytes: Buffer) => watched.seen.push(bytes[1] ?? 0));
  call.on('error', () => undefined);
  call.on('status', ({ code }) => {
    watched.ended = code;
  });
  return watched;
}

test('health Check answers for the server and for each of its services', async () => {
  const { health, port } = await serving();
  const to = client(port);
  for (const service of ['', 'a.Logs', 'b.Logs']) expect(await check(to, service)).toBe(1);
  for (const service of ['c.Logs', 'x'.repeat(100)]) {
    expect(await check(to, service)).toEqual({ code: grpc.status.NOT_FOUND });
  }
  health.leave();
  expect(await check(to, '')).toBe(2);
  expect(await check(to, 'a.Logs')).toBe(2);
});

test('health Watch says at once how it stands, and again when the server is to stop', async () => {
  const { server, health, port } = await serving();
  const to = client(port);
  const all = ['', 'b.Logs', 'unknown'].map((service) => watch(to, service));
  await eventually(() => all.every(({ seen }) => seen.length === 1));
  expect(all.map(({ seen }) => seen)).toEqual([[1], [1], [3]]);
  await new Promise((done) => setTimeout(done, 50));
  expect(all.map(({ ended }) => ended)).toEqual([undefined, undefined, undefined]);
  health.leave();
  const startMs = performance.now();
  await server.stop(5000);
  expect(performance.now() - startMs).toBeLessThan(2000);
  await eventually(() => all.every(({ ended }) => ended !== undefined));
  expect(all.map(({ seen, ended }) => [...seen, ended])).toEqual([
    [1, 2, grpc.status.UNAVAILABLE],
    [1, 2, grpc.status.UNAVAILABLE],
    [3, 3, grpc.status.UNAVAILABLE],
  ]);
});

test('health Watch ends with a connection that is old enough', async () => {
  const { server, port } = await serving(200);
  const watched = watch(client(port), '');
  await eventually(() => watched.ended !== undefined);
  expect([watched.seen, watched.ended]).toEqual([[1], grpc.status.UNAVAILABLE]);
  await eventually(() => server.connections === 0);
});

test('health Watch is given to a hundred and refused to more, until one of them goes', async () => {
  const { port } = await serving();
  const to = client(port);
  const watches = Array.from({ length: 100 }, () => watch(to, ''));
  await eventually(() => watches.every(({ seen }) => seen.length === 1));
  const refused = watch(to, '');
  await eventually(() => refused.ended !== undefined);
  expect([refused.seen, refused.ended]).toEqual([[], grpc.status.RESOURCE_EXHAUSTED]);
  expect(await check(to, '')).toBe(1);
  watches[7]?.call.cancel();
  await eventually(() => watches[7]?.ended === grpc.status.CANCELLED);
  let late = watch(to, '');
  await eventually(() => {
    // The server learns a moment later that one is gone.
    if (late.ended !== undefined) late = watch(to, '');
    return late.seen.length === 1;
  });
});

test('health Watch of a peer that reads nothing does not hold up a stop for longer than its grace', async () => {
  const { server, health, port } = await serving();
  const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
  session.on('error', () => undefined);
  open.push(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': path('Watch'),
    'content-type': 'application/grpc',
  });
  stream.on('error', () => undefined);
  stream.end(Buffer.alloc(5));
  await new Promise((resolve) => stream.once('response', resolve));
  health.leave();
  await server.stop(200);
  await eventually(() => server.connections === 0, 1000);
});

test('health takes no long messages, which nobody has to show credentials for', async () => {
  const { port } = await serving();
  const to = client(port);
  expect(await check(to, 'x'.repeat(990))).toEqual({ code: 5 });
  for (const bytes of [1025, 4_000_000]) {
    expect(await check(to, 'x'.repeat(bytes))).toEqual({ code: 8 });
  }
});
