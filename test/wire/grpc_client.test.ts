import { mkdtempSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { GrpcClient, GrpcClientOptions } from '../../src/wire/grpc_client.ts';
import { grpcPrefixBytes } from '../../src/wire/grpc_unary.ts';
import { type FaultProxy, faultProxy } from '../support/fault_proxy.ts';
import { grpcCalling } from '../support/grpc_calling.ts';
import { exportPath, type GrpcSink, grpcSink } from '../support/otlp.ts';
import { authority } from '../support/tls.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function sink(...args: Parameters<typeof grpcSink>): Promise<GrpcSink> {
  const made = await grpcSink(...args);
  open.push(() => made.close());
  return made;
}

function client(port: number, options: Partial<GrpcClientOptions> = {}): GrpcClient {
  const made = grpcCalling(port, options);
  open.push(() => made.close());
  return made;
}

const framed = (text: string): Buffer =>
  Buffer.concat([Buffer.alloc(grpcPrefixBytes), Buffer.from(text)]);

/** An HTTP/2 server that answers as it is told. */
async function rawServer(answer: (stream: ServerHttp2Stream) => void): Promise<number> {
  const server: Http2Server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.resume();
    answer(stream);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  open.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

test('grpc_client sends what a server of another make reads', async () => {
  const server = await sink();
  const one = client(server.port, { headers: { 'x-id': '7', 'x-raw-bin': 'AAE=' } });
  const outcome = await one.call(exportPath, framed('hello'));
  expect(outcome.code).toBe(0);
  expect(server.requests.map(String)).toEqual(['hello']);
  const metadata = server.metadata[0];
  expect(metadata?.get('x-id')).toEqual(['7']);
  expect(metadata?.get('x-raw-bin')).toEqual([Buffer.from([0, 1])]);
  expect(metadata?.get('user-agent')).toEqual(['test/1']);
});

test('grpc_client compresses when told', async () => {
  const server = await sink();
  const text = 'words and words '.repeat(10_000);
  const outcome = await client(server.port, { compression: 'gzip' }).call(exportPath, framed(text));
  expect(outcome.code).toBe(0);
  expect(server.requests.map(String)).toEqual([text]);
});

test('grpc_client reaches a unix socket', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'grpc-')), 's');
  const server = await sink({ address: `unix:${path}` });
  const outcome = await client(0, { address: { kind: 'unix', path } }).call(
    exportPath,
    framed('a'),
  );
  expect(outcome.code).toBe(0);
  expect(server.requests.length).toBe(1);
});

test('grpc_client takes every address of a name, and those that answer are enough', async () => {
  const server = await sink();
  const one = client(server.port, {
    address: { kind: 'tcp', host: 'localhost', port: server.port },
  });
  for (let i = 0; i < 5; i++) expect((await one.call(exportPath, framed('a'))).code).toBe(0);
  expect(server.requests.length).toBe(5);
});

test('grpc_client respects the number of streams that a peer allows', async () => {
  const server = await sink({ options: { 'grpc.max_concurrent_streams': 2 } });
  const one = client(server.port);
  const calls = Array.from({ length: 30 }, (_, i) => one.call(exportPath, framed(`${i}`)));
  expect((await Promise.all(calls)).every(({ code }) => code === 0)).toBe(true);
  expect(new Set(server.requests.map(String)).size).toBe(30);
});

test('grpc_client hands over any status with its details', async () => {
  const server = await sink();
  const one = client(server.port);
  const status = fc.record({
    code: fc.integer({ min: 1, max: 16 }),
    details: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 60 }),
  });
  await fc.assert(
    fc.asyncProperty(status, async ({ code, details, bytes }) => {
      const metadata = new grpc.Metadata();
      metadata.set('grpc-status-details-bin', Buffer.from(bytes));
      server.answers = [{ code, details, metadata }];
      const outcome = await one.call(exportPath, framed('x'));
      expect(outcome).toMatchObject({ code, details });
      expect(outcome.status).toEqual(Buffer.from(bytes));
    }),
    { numRuns: 50 },
  );
});

describe('grpc_client names what is no gRPC answer', () => {
  const ok = { ':status': 200, 'content-type': 'application/grpc' };
  const answers: [string, (stream: ServerHttp2Stream) => void, number, RegExp][] = [
    [
      'an HTTP error',
      (s) => s.respond({ ':status': 503 }, { endStream: true }),
      14,
      /HTTP status 503/,
    ],
    ['another path', (s) => s.respond({ ':status': 404 }, { endStream: true }), 12, /404/],
    ['no status', (s) => s.respond(ok, { endStream: true }), 2, /without a status/],
    ['a status of no text', (s) => trailers(s, ok, Buffer.alloc(5), ''), 2, /^$/],
    ['a status that is no number', (s) => trailers(s, ok, Buffer.alloc(5), '0x0'), 2, /^$/],
    ['a reset', (s) => s.close(2), 14, /./],
    ['a refusal', (s) => s.close(7), 14, /takes no more calls/],
    ['a request for calm', (s) => s.close(11), 14, /./],
    ['a status without an answer', (s) => trailers(s, ok, Buffer.alloc(0)), 13, /no answer/],
    [
      'a length that is wrong',
      (s) => trailers(s, ok, Buffer.from([0, 0, 0, 0, 9, 1])),
      13,
      /length/,
    ],
    ['compression', (s) => trailers(s, ok, Buffer.from([1, 0, 0, 0, 1, 1])), 13, /compressed/],
    ['too long an answer', (s) => trailers(s, ok, Buffer.alloc(2 << 20)), 2, /more than/],
  ];
  for (const [name, answer, code, details] of answers) {
    test(name, async () => {
      const port = await rawServer(answer);
      const outcome = await client(port).call('/a/b', framed('x'));
      expect(outcome.code).toBe(code);
      expect(outcome.details).toMatch(details);
    });
  }
});

function trailers(stream: ServerHttp2Stream, headers: object, body: Buffer, status = '0'): void {
  stream.respond(headers as Record<string, string>, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
  stream.end(body);
}

test('grpc_client goes on elsewhere when a connection comes to its end', async () => {
  let streams = 0;
  const port = await rawServer((stream) => {
    streams++;
    // The call under way is answered; the connection takes no other.
    if (streams % 3 === 0) stream.session?.goaway(0);
    trailers(stream, { ':status': 200 }, Buffer.alloc(grpcPrefixBytes));
  });
  const one = client(port);
  for (let i = 0; i < 10; i++) expect((await one.call('/a/b', framed('x'))).code).toBe(0);
});

async function proxied(): Promise<{ server: GrpcSink; proxy: FaultProxy }> {
  const server = await sink();
  const proxy = await faultProxy(server.port);
  open.push(() => proxy.close());
  return { server, proxy };
}

test('grpc_client fails what is under way when the connection breaks, and connects anew', async () => {
  const { server, proxy } = await proxied();
  const one = client(proxy.port);
  server.answers = ['never'];
  const lost = one.call(exportPath, framed('x'));
  while (server.requests.length === 0) await new Promise((done) => setTimeout(done, 5));
  proxy.reset();
  expect((await lost).code).toBe(14);
  server.answers = [];
  expect((await one.call(exportPath, framed('y'))).code).toBe(0);
});

test('grpc_client finds a silent peer by its pings', async () => {
  const { server, proxy } = await proxied();
  const keepalive = { time: 50, timeout: 100, permit_without_stream: true };
  const one = client(proxy.port, { keepalive });
  expect((await one.call(exportPath, framed('x'))).code).toBe(0);
  proxy.faults.blackHole = true;
  expect((await one.call(exportPath, framed('y'))).code).toBe(14);
  proxy.faults.blackHole = false;
  expect((await one.call(exportPath, framed('z'))).code).toBe(0);
  expect(server.requests.map(String)).toContain('z');
});

test('grpc_client waits for its pings as long as it is told, be it nearly for ever', async () => {
  const { server, proxy } = await proxied();
  proxy.faults.delayMs = 20;
  for (const keepalive of [
    { time: 2 ** 31 - 1, timeout: 10, permit_without_stream: true },
    { time: 10, timeout: 2 ** 31 - 1, permit_without_stream: true },
  ]) {
    const one = client(proxy.port, { keepalive });
    server.answers = [];
    expect((await one.call(exportPath, framed('x'))).code).toBe(0);
    await new Promise((done) => setTimeout(done, 60));
    expect((await one.call(exportPath, framed('y'))).code).toBe(0);
  }
  expect(proxy.accepted).toBe(2);
});

test('grpc_client ends a call on its signal, before and after the connection is there', async () => {
  const sockets: Socket[] = [];
  const silent = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const early = client((silent.address() as { port: number }).port);
  expect((await early.call('/a/b', framed('x'), AbortSignal.timeout(50))).code).toBe(1);
  const server = await sink();
  server.answers = ['never'];
  const late = client(server.port);
  expect((await late.call(exportPath, framed('x'), AbortSignal.timeout(100))).code).toBe(1);
  server.answers = [];
  expect((await late.call(exportPath, framed('y'))).code).toBe(0);
});

test('grpc_client says why nobody can be reached, and finds the peer when it is there', async () => {
  const first = await grpcSink();
  first.close();
  const one = client(first.port);
  for (let i = 0; i < 5; i++) {
    const outcome = await one.call(exportPath, framed('x'));
    expect(outcome).toMatchObject({ code: 14, details: expect.stringContaining('ECONNREFUSED') });
  }
  const second = await sink({ address: `127.0.0.1:${first.port}` });
  const startedMs = performance.now();
  while ((await one.call(exportPath, framed('y'))).code !== 0) {
    await new Promise((done) => setTimeout(done, 10));
  }
  expect(performance.now() - startedMs).toBeLessThan(1500);
  expect(second.requests.map(String)).toEqual(['y']);
});

test('grpc_client shows its certificate and checks the name of the peer', async () => {
  const root = authority();
  const serverPair = root.issue(['DNS:collector.example']);
  const own = root.issue(['URI:spiffe://mesh/agent']);
  const server = await sink({
    credentials: grpc.ServerCredentials.createSsl(
      Buffer.from(root.cert),
      [{ private_key: Buffer.from(serverPair.key), cert_chain: Buffer.from(serverPair.cert) }],
      true,
    ),
  });
  const tls = { ca: root.cert, cert: own.cert, key: own.key, servername: 'collector.example' };
  const right = client(server.port, { tls, authority: 'collector.example' });
  expect(await right.call(exportPath, framed('x'))).toMatchObject({ code: 0, details: '' });
  const wrong = client(server.port, { tls: { ...tls, servername: 'other.example' } });
  const outcome = await wrong.call(exportPath, framed('x'));
  expect(outcome.code).toBe(14);
  expect(outcome.details).toMatch(/altnames/);
});
