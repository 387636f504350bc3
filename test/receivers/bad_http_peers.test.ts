// Peers of OTLP over HTTP that break the rules: what they are told, under what they are counted, and that a good peer
// beside them notices nothing.

import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { otlp } from '../../src/receivers/otlp/otlp.ts';
import { type Collector, collector, type TestContext, testContext } from '../support/collect.ts';
import { oracleBytes } from '../support/otlp.ts';
import { closed, connected, eventually, portOf } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const body = (text: string): Buffer =>
  oracleBytes({
    resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: text } }] }] }],
  });

type Answer = { status: number; headers: Record<string, unknown>; socket: Socket };

type Scene = {
  port: number;
  context: TestContext;
  sink: Collector;
  /** A request on the one connection of the good peer. */
  post(
    data: Buffer,
    headers?: Record<string, string>,
    path?: string,
    method?: string,
  ): Promise<Answer>;
  refusedRequests(reason: string): number;
  refusedConnections(reason: string): number;
};

async function scene(http: object = {}, settings: object = {}): Promise<Scene> {
  const [sink, context] = [collector(), testContext()];
  const config = { http: { endpoint: '127.0.0.1:0', ...http }, ...settings };
  const receiver = otlp.create(otlp.config.parse(config), context);
  await receiver.start(sink.deliver);
  open.push(() => receiver.stop());
  const port = portOf(receiver.status?.());
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  open.push(() => agent.destroy());
  const count = (name: string, reason: string): number =>
    context.metrics.read(name, { receiver: 'test', reason }) ?? 0;
  const on: Scene = {
    port,
    context,
    sink,
    post: (data, headers = {}, path = '/v1/logs', method = 'POST') =>
      new Promise((resolve, reject) => {
        const type = { 'content-type': 'application/x-protobuf', 'content-length': data.length };
        const sent = request(
          { port, agent, path, method, headers: { ...type, ...headers } },
          (answer) => {
            answer.resume();
            answer.on('end', () =>
              resolve({
                status: answer.statusCode ?? 0,
                headers: answer.headers,
                socket: answer.socket,
              }),
            );
          },
        );
        sent.on('error', reject);
        sent.end(data);
      }),
    refusedRequests: (reason) => count('meshlog_receiver_requests_refused_total', reason),
    refusedConnections: (reason) => count('meshlog_receiver_connections_refused_total', reason),
  };
  expect((await on.post(body('before'))).status).toBe(200);
  return on;
}

async function undisturbed({ post, sink, context }: Scene, others = 0): Promise<void> {
  expect((await post(body('after'))).status).toBe(200);
  expect(sink.lines).toHaveLength(2 + others);
  await eventually(() => context.budget.usedBytes === 0);
}

/** All that a server says to some bytes, until it closes. */
async function said(port: number, bytes: Buffer | string): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  socket.on('error', () => undefined);
  socket.write(bytes);
  await once(socket, 'close');
  return text;
}

describe('otlp over HTTP is told nonsense:', () => {
  for (const [what, bytes] of [
    ['zeros', Buffer.alloc(1000)],
    ['a TLS handshake', Buffer.from('160301020001000001fc0303', 'hex')],
    ['a line', '[2026-01-01T00:00:00.000Z] "GET / HTTP/1.1" 200\n'],
    [
      'two lengths',
      'POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    ],
    [
      'a length and chunks',
      'POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'bad chunks',
      'POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    ],
  ] as const) {
    test(what, async () => {
      const on = await scene();
      expect(await said(on.port, bytes)).toMatch(/^HTTP\/1\.1 400 /);
      expect(on.refusedConnections('protocol')).toBe(1);
      await undisturbed(on);
    });
  }

  test('headers without an end', async () => {
    const on = await scene();
    const text = `POST /v1/logs HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(50_000)}`;
    expect(await said(on.port, text)).toMatch(/^HTTP\/1\.1 431 /);
    expect(on.refusedConnections('protocol')).toBe(1);
    await undisturbed(on);
  });

  test('another path, method, content type or encoding, on a connection that lives', async () => {
    const on = await scene();
    const { socket } = await on.post(body('x'), {}, '/v1/traces');
    for (const [status, reason, answer] of [
      [404, 'unknown_path', await on.post(body('x'), {}, '/v1/metrics')],
      [405, 'unsupported_method', await on.post(body('x'), {}, '/v1/logs', 'PUT')],
      [415, 'unsupported_content_type', await on.post(body('x'), { 'content-type': 'text/plain' })],
      [400, 'unsupported_encoding', await on.post(body('x'), { 'content-encoding': 'br' })],
      [400, 'malformed', await on.post(Buffer.from([0x0a, 5, 1]))],
      [400, 'malformed', await on.post(Buffer.from('{"a'), { 'content-type': 'application/json' })],
    ] as const) {
      expect([answer.status, on.refusedRequests(reason) > 0]).toEqual([status, true]);
      expect(answer.socket).toBe(socket);
    }
    expect(on.refusedRequests('unknown_path')).toBe(2);
    expect(on.refusedRequests('malformed')).toBe(2);
    await undisturbed(on, 0);
  });

  test('no credentials, or wrong ones', async () => {
    const on = await scene({}, { auth: undefined });
    const strict = otlp.create(
      otlp.config.parse({ http: { endpoint: '127.0.0.1:0' }, auth: { bearer_token: 'secret' } }),
      on.context,
    );
    await strict.start(on.sink.deliver);
    open.push(() => strict.stop());
    const url = `http://127.0.0.1:${portOf(strict.status?.())}/v1/logs`;
    for (const authorization of ['', 'Bearer other']) {
      const headers = { 'content-type': 'application/x-protobuf', authorization };
      const answer = await fetch(url, { method: 'POST', body: new Uint8Array(body('x')), headers });
      expect(answer.status).toBe(401);
    }
    expect(on.refusedRequests('credentials')).toBe(2);
    await undisturbed(on);
  });
});

describe('otlp over HTTP is sent too much:', () => {
  test('a body over the limit, announced or not', async () => {
    const on = await scene({ max_request_body_size: 10_000 });
    const large = body('x'.repeat(50_000));
    expect((await on.post(large)).status).toBe(400);
    const head =
      'POST /v1/logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n';
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    expect(await said(on.port, `${head}${chunk}0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(on.refusedRequests('too_large')).toBe(2);
    await undisturbed(on);
  });

  for (const [encoding, compress] of [
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const) {
    test(`bombs of ${encoding}`, async () => {
      const on = await scene({ max_request_body_size: 100_000 });
      const bomb = compress(Buffer.alloc(64 << 20));
      const beforeBytes = process.memoryUsage().rss;
      for (let i = 0; i < 10; i++) {
        expect((await on.post(bomb, { 'content-encoding': encoding })).status).toBe(400);
      }
      expect(on.refusedRequests('too_large')).toBe(10);
      expect(process.memoryUsage().rss - beforeBytes).toBeLessThan(40 << 20);
      await undisturbed(on);
    });
  }

  test('many bombs at the same time: few of them are taken apart at once', async () => {
    const on = await scene({ max_request_body_size: 8 << 20 });
    const bomb = gzipSync(Buffer.alloc((8 << 20) + 1));
    const head = `POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`;
    const before = process.memoryUsage().arrayBuffers;
    let mostBytes = 0;
    const watch = setInterval(() => {
      mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers - before);
    }, 1);
    for (let i = 0; i < 30; i++)
      (await connected(on.port)).write(Buffer.concat([Buffer.from(head), bomb]));
    await eventually(() => on.refusedRequests('too_large') === 30);
    clearInterval(watch);
    expect(mostBytes).toBeLessThan(120 << 20);
    await undisturbed(on);
  });

  test('connections over the limit', async () => {
    const on = await scene({ max_connections: 3 });
    const few = [await connected(on.port), await connected(on.port)];
    const many = [await connected(on.port), await connected(on.port)];
    for (const socket of [...few, ...many]) open.push(() => socket.destroy());
    await Promise.all(many.map(closed));
    expect(on.refusedConnections('limit')).toBe(2);
    expect(few.map(({ destroyed }) => destroyed)).toEqual([false, false]);
    await undisturbed(on);
  });
});

describe('otlp over HTTP is cut short:', () => {
  const head =
    'POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\n';

  test('inside a body', async () => {
    const on = await scene();
    const socket = await connected(on.port);
    socket.write(`${head}abc`);
    await eventually(() => on.context.budget.usedBytes > 0);
    socket.destroy();
    await eventually(() => on.refusedRequests('cut_short') === 1);
    await undisturbed(on);
  });

  test('by a sender that never goes on: it is told so', async () => {
    const on = await scene({}, { request_timeout: '200ms' });
    expect(await said(on.port, `${head}abc`)).toMatch(/^HTTP\/1\.1 408 /);
    await eventually(() => on.refusedRequests('timeout') === 1);
    await undisturbed(on);
    expect(on.refusedRequests('cut_short')).toBe(0);
  });

  test('before there is a request: it is told so', async () => {
    const on = await scene({}, { request_timeout: '200ms' });
    expect(await said(on.port, 'POST /v1/logs HTTP/1.1\r\nHost')).toMatch(/^HTTP\/1\.1 408 /);
    expect(on.refusedRequests('timeout')).toBe(1);
    await undisturbed(on);
  });
});

test('otlp over HTTP leaves a peer that reads no answer, and holds little for it', async () => {
  const on = await scene({ idle_timeout: '300ms' });
  const socket = connectTcp(on.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.pause();
  open.push(() => socket.destroy());
  await once(socket, 'connect');
  const beforeBytes = process.memoryUsage().rss;
  const call = `POST /${'x'.repeat(1000)} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`;
  const calls = Buffer.from(call.repeat(200));
  let sentBytes = 0;
  // Until the server reads no more of it, or has left.
  for (let full = 0; full < 20 && !socket.destroyed; ) {
    if (socket.writableNeedDrain) {
      full++;
      await new Promise((done) => setTimeout(done, 10));
      continue;
    }
    full = 0;
    socket.write(calls);
    sentBytes += calls.length;
    await new Promise((done) => setImmediate(done));
    expect(sentBytes).toBeLessThan(200 << 20);
  }
  expect(process.memoryUsage().rss - beforeBytes).toBeLessThan(64 << 20);
  await undisturbed(on);
  await eventually(() => {
    // The end of a connection is seen by who writes after it.
    socket.write('x');
    return socket.destroyed;
  }, 3000);
});
