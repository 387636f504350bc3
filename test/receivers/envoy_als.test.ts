import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { Deliver, Receiver } from '../../src/pipeline/component.ts';
import { envoy_als } from '../../src/receivers/envoy_als/envoy_als.ts';
import {
  type AlsVersion,
  StreamAccessLogsMessage,
  StreamAccessLogsResponse,
  streamPath,
} from '../support/als.ts';
import { collector, refusing, type TestContext, testContext } from '../support/collect.ts';
import { portOf } from '../support/sockets.ts';
import { authority, certificateFolder } from '../support/tls.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

type Listening = { port: number; context: TestContext; receiver: Receiver };

async function listening(
  deliver: Deliver,
  settings: object = {},
  context: TestContext = testContext(),
): Promise<Listening> {
  const config = { endpoint: '127.0.0.1:0', linger: '5ms', ...settings };
  const receiver = envoy_als.create(envoy_als.config.parse(config), context);
  await receiver.start(deliver);
  open.push(() => receiver.stop());
  return { port: portOf(receiver.status?.()), context, receiver };
}

/** A stream as a proxy opens it: by a gRPC library and protos that are not ours. */
class MeshProxy {
  readonly call: grpc.ClientWritableStream<object | Buffer>;
  readonly #client: grpc.Client;
  /** The status that the stream ended with. */
  readonly ended: Promise<{ code: number; details: string }>;

  constructor(
    port: number,
    version: AlsVersion = 'v3',
    credentials = grpc.credentials.createInsecure(),
    options: grpc.ChannelOptions = {},
  ) {
    // The messages of v2 have the same bytes.
    const request = StreamAccessLogsMessage;
    const response = StreamAccessLogsResponse;
    const path = streamPath(version);
    this.#client = new grpc.Client(`localhost:${port}`, credentials, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_send_message_length': -1,
      ...options,
    });
    open.push(() => this.#client.close());
    const encode = (message: object | Buffer): Buffer =>
      Buffer.isBuffer(message)
        ? message
        : Buffer.from(request.encode(request.fromObject(message)).finish());
    const { promise, resolve } = Promise.withResolvers<{ code: number; details: string }>();
    this.ended = promise;
    this.call = this.#client.makeClientStreamRequest(
      path,
      encode,
      (bytes: Buffer) => response.decode(bytes),
      (error) => resolve({ code: error?.code ?? 0, details: error?.details ?? '' }),
    );
    this.call.on('error', () => undefined);
  }

  /** Sends; resolves when the transport has it. */
  send(message: object | Buffer): Promise<void> {
    return new Promise((resolve) => this.call.write(message, () => resolve()));
  }

  /** Says everything; resolves with the status. */
  end(): Promise<{ code: number; details: string }> {
    this.call.end();
    return this.ended;
  }
}

/** Resolves when nothing is held of the budget. */
async function drained(context: TestContext): Promise<void> {
  for (let i = 0; context.budget.usedBytes > 0 && i < 500; i++) await sleep(10);
  expect(context.budget.usedBytes).toBe(0);
}

const identifier = (id: string, logName = 'http'): object => ({
  node: { id, cluster: 'web.shop', locality: { zone: 'a' } },
  logName,
});
const http = (...paths: string[]): object => ({
  httpLogs: { logEntry: paths.map((path) => ({ request: { path } })) },
});
const tcp = (...bytes: number[]): object => ({
  tcpLogs: {
    logEntry: bytes.map((receivedBytes) => ({ connectionProperties: { receivedBytes } })),
  },
});

for (const version of ['v3', 'v2'] as const) {
  test(`envoy_als takes streams of ${version}, and keeps who speaks for all messages of a stream`, async () => {
    const sink = collector();
    const { port, context } = await listening(sink.deliver);
    const proxy = new MeshProxy(port, version);
    await proxy.send({ identifier: identifier('sidecar~10.0.0.1~a.b~b.svc'), ...http('/1', '/2') });
    await proxy.send(http('/3'));
    expect(await proxy.end()).toEqual({ code: 0, details: '' });
    await sink.until(3);
    expect(sink.records.map(({ attributes }) => attributes['request.path'])).toEqual([
      '/1',
      '/2',
      '/3',
    ]);
    for (const { resource } of sink.records) {
      expect(resource).toEqual({
        'envoy.node.id': 'sidecar~10.0.0.1~a.b~b.svc',
        'envoy.node.cluster': 'web.shop',
        'envoy.node.locality.zone': 'a',
        'envoy.log_name': 'http',
        'net.peer.ip': '127.0.0.1',
      });
    }
    await drained(context);
  });
}

test('envoy_als puts entries of many streams into few batches, each with its own facts and in order', async () => {
  const sink = collector();
  const { port, receiver } = await listening(sink.deliver, { linger: '50ms' });
  const proxies = Array.from({ length: 20 }, () => new MeshProxy(port));
  await Promise.all(
    proxies.map(async (proxy, i) => {
      await proxy.send({ identifier: identifier(`node ${i}`), ...(i % 2 ? http('/0') : tcp(0)) });
      for (let k = 1; k < 5; k++) await proxy.send(i % 2 ? http(`/${k}`) : tcp(k));
    }),
  );
  await sink.until(100);
  expect(receiver.status?.()).toMatch(/ {2}20 streams$/);
  expect(sink.batches.length).toBeLessThan(20);
  for (let i = 0; i < 20; i++) {
    const own = sink.records.filter(({ resource }) => resource['envoy.node.id'] === `node ${i}`);
    expect(
      own.map(({ attributes }) => attributes['request.path'] ?? attributes['request.size'] ?? 0),
    ).toEqual(i % 2 ? ['/0', '/1', '/2', '/3', '/4'] : [0, 1, 2, 3, 4]);
  }
});

test('envoy_als does not read on while the pipeline cannot take more, and loses nothing of it', async () => {
  const sink = collector();
  const context = testContext({ budgetBytes: 256 * 1024 });
  const { port } = await listening(sink.deliver, {}, context);
  sink.pause();
  const proxy = new MeshProxy(port);
  const path = `/${'x'.repeat(1000)}`;
  let sent = 0;
  let stopped = false;
  const sending = (async () => {
    await proxy.send({ identifier: identifier('a') });
    for (let i = 0; i < 3000; i++) {
      await proxy.send(http(`${path}${i}`));
      sent++;
    }
    stopped = true;
  })();
  let before = -1;
  while (sent !== before || sink.waiting === 0) {
    before = sent;
    await sleep(100);
  }
  expect(stopped).toBe(false);
  expect(sent).toBeLessThan(2500);
  expect(context.budget.usedBytes).toBeLessThan(300 * 1024);
  sink.resume();
  await sending;
  await proxy.end();
  await sink.until(3000);
  expect(
    sink.records.map(({ attributes }) => String(attributes['request.path']).slice(1001)),
  ).toEqual(Array.from({ length: 3000 }, (_, i) => String(i)));
  await drained(context);
  const held = context.metrics.read('meshlog_receiver_held_back_seconds_total', {
    receiver: 'test',
  });
  expect(held).toBeGreaterThan(0.1);
});

test('envoy_als gives room back when a stream goes away while it waits', async () => {
  const sink = collector();
  const context = testContext({ budgetBytes: 64 * 1024 });
  const { port } = await listening(sink.deliver, {}, context);
  sink.pause();
  const first = new MeshProxy(port);
  await first.send(http('/x'.repeat(40_000)));
  while (sink.waiting === 0) await sleep(5);
  const second = new MeshProxy(port);
  void second.send(http('/y'.repeat(40_000)));
  await sleep(100);
  second.call.cancel();
  await second.ended;
  sink.resume();
  await sink.until(1);
  await drained(context);
});

test('envoy_als tries refused batches again', async () => {
  const sink = collector();
  const { port } = await listening(refusing({ times: 2, next: sink.deliver }));
  const proxy = new MeshProxy(port);
  await proxy.send(http('/1'));
  await sink.until(1);
  expect(sink.records).toHaveLength(1);
});

describe('envoy_als lives with bad input', () => {
  test('a message over the limit is passed over and counted; the stream goes on', async () => {
    const sink = collector();
    const { port, context } = await listening(sink.deliver, { message_bytes_max: 2048 });
    const proxy = new MeshProxy(port);
    await proxy.send({ identifier: identifier('a'), ...http('/1') });
    await proxy.send(http('/'.padEnd(5000, 'x')));
    await proxy.send(http('/2'));
    expect((await proxy.end()).code).toBe(0);
    await sink.until(2);
    expect(sink.records.map(({ attributes }) => attributes['request.path'])).toEqual(['/1', '/2']);
    expect(context.dropped).toEqual({ message_too_large: 1 });
  });

  test('a message that is none is counted, and what can be told apart is kept', async () => {
    const sink = collector();
    const { port, context } = await listening(sink.deliver);
    const proxy = new MeshProxy(port);
    await proxy.send(Buffer.from([0x12, 0x7f, 0x01]));
    await proxy.send(Buffer.from([0x12, 0x06, 0x0a, 0x04, 0x0a, 0x02, 0x7a, 0x09]));
    await proxy.send(Buffer.alloc(0));
    await proxy.send(http('/good'));
    expect((await proxy.end()).code).toBe(0);
    await sink.until(2);
    expect(sink.records.map(({ attributes }) => attributes)).toEqual([
      { 'log.parse_error': 'als: malformed entry', 'mesh.protocol': 'http' },
      { 'request.path': '/good', 'mesh.protocol': 'http' },
    ]);
    expect(sink.records[0]?.body).toEqual(new Uint8Array([0x0a, 0x02, 0x7a, 0x09]));
    expect(context.dropped).toEqual({ malformed_message: 1 });
    await drained(context);
  });

  test('other methods, other protocols and garbage get an answer or are closed, and disturb nobody', async () => {
    const sink = collector();
    const { port, context } = await listening(sink.deliver);
    const proxy = new MeshProxy(port);
    await proxy.send(http('/1'));
    const client = new grpc.Client(`localhost:${port}`, grpc.credentials.createInsecure());
    open.push(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    const code = await new Promise((resolve) => {
      client.makeUnaryRequest(
        '/envoy.service.accesslog.v4.X/Y',
        same,
        same,
        Buffer.alloc(0),
        (error) => resolve(error?.code),
      );
    });
    expect(code).toBe(12);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push(() => session.destroy());
    const status = await new Promise((resolve) => {
      const request = session.request({
        ':method': 'POST',
        ':path': streamPath('v3'),
        'content-type': 'text/plain',
      });
      request.on('response', (headers) => resolve(headers[':status']));
      request.end('x');
    });
    expect(status).toBe(415);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.end('GET / HTTP/1.1\r\n\r\nnonsense'.repeat(100));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    await proxy.send(http('/2'));
    await sink.until(2);
    expect(
      context.metrics.read('meshlog_receiver_connections_refused_total', {
        receiver: 'test',
        reason: 'protocol',
      }),
    ).toBe(1);
  });

  test('compressed messages are read, and bombs are refused', async () => {
    const sink = collector();
    const { port } = await listening(sink.deliver, { message_bytes_max: 64 * 1024 });
    const gzip = { 'grpc.default_compression_algorithm': 2 };
    const proxy = new MeshProxy(port, 'v3', grpc.credentials.createInsecure(), gzip);
    await proxy.send(http('/1', '/2'));
    await sink.until(2);
    void proxy.send(http('/'.padEnd(10_000_000, 'x')));
    expect((await proxy.ended).code).toBe(8);
    await new MeshProxy(port).send(http('/3'));
    await sink.until(3);
  });

  test('thousands of idle streams', async () => {
    const sink = collector();
    const { port, receiver, context } = await listening(sink.deliver);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    open.push(() => session.destroy());
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    for (let i = 0; i < 3000; i++) {
      const request = session.request(
        { ':method': 'POST', ':path': streamPath('v3'), 'content-type': 'application/grpc' },
        { endStream: false },
      );
      request.on('error', () => undefined);
    }
    while (context.metrics.read('meshlog_receiver_streams', { receiver: 'test' }) !== 3000)
      await sleep(10);
    expect(receiver.status?.()).toMatch(/3000 streams$/);
    await new MeshProxy(port).send(http('/1'));
    await sink.until(1);
    session.destroy();
    while (context.metrics.read('meshlog_receiver_streams', { receiver: 'test' }) !== 1)
      await sleep(10);
  });
});

describe('envoy_als ends streams so that proxies connect elsewhere', () => {
  test('when it stops: with OK, and with everything that was sent', async () => {
    const sink = collector();
    const { port, receiver } = await listening(sink.deliver, { linger: '10s' });
    const proxy = new MeshProxy(port);
    await proxy.send(http('/1'));
    while (!/1 stream$/.test(receiver.status?.() ?? '')) await sleep(5);
    const stopped = receiver.stop();
    expect((await proxy.ended).code).toBe(0);
    await stopped;
    expect(sink.records).toHaveLength(1);
    open.length = 0;
  });

  test('when their connection is old enough: another one is opened', async () => {
    const sink = collector();
    const { port } = await listening(sink.deliver, {
      keepalive: { max_connection_age: '150ms', max_connection_age_grace: '2s' },
    });
    let sent = 0;
    let connections = 0;
    const until = Date.now() + 1200;
    while (Date.now() < until) {
      const proxy = new MeshProxy(port);
      connections++;
      let over = false;
      void proxy.ended.then(() => {
        over = true;
      });
      while (!over && Date.now() < until) {
        await proxy.send(http(`/${sent++}`));
        await sleep(5);
      }
      if (!over) await proxy.end();
      else expect((await proxy.ended).code).toBe(0);
    }
    expect(connections).toBeGreaterThan(2);
    await sink.until(sent - connections);
  });
});

describe('envoy_als over TLS', () => {
  test('lets in whom the list names, by the identity of the certificate', async () => {
    const ca = authority();
    const folder = await certificateFolder();
    const server = await folder.put('server', ca.issue(['DNS:localhost', 'IP:127.0.0.1']));
    const client_ca_file = await folder.write('ca.crt', ca.cert);
    const sink = collector();
    const { port, context } = await listening(sink.deliver, {
      tls: { ...server, client_ca_file },
      allowed_spiffe_ids: ['spiffe://cluster.local/ns/shop/*'],
    });
    const peer = (id: string): MeshProxy => {
      const { cert, key } = ca.issue([`URI:${id}`]);
      return new MeshProxy(
        port,
        'v3',
        grpc.credentials.createSsl(Buffer.from(ca.cert), Buffer.from(key), Buffer.from(cert)),
      );
    };
    const friend = peer('spiffe://cluster.local/ns/shop/sa/web');
    await friend.send(http('/friend'));
    expect((await friend.end()).code).toBe(0);
    const stranger = peer('spiffe://cluster.local/ns/other/sa/web');
    void stranger.send(http('/stranger'));
    expect((await stranger.ended).code).not.toBe(0);
    await sink.until(1);
    expect(sink.records.map(({ attributes }) => attributes['request.path'])).toEqual(['/friend']);
    expect(context.logged.join()).toContain('refuses spiffe://cluster.local/ns/other/sa/web');
  });

  test('needs a CA for the list, and warns of plain text that others can reach', async () => {
    expect(envoy_als.config.safeParse({ allowed_spiffe_ids: ['spiffe://a/b'] }).success).toBe(
      false,
    );
    const { context } = await listening(collector().deliver, { endpoint: '0.0.0.0:0' });
    expect(context.logged.join()).toMatch(/warn: listens on 0\.0\.0\.0:0 in plain text/);
  });
});

test('envoy_als answers health checks until it stops', async () => {
  const { port } = await listening(collector().deliver);
  const client = new grpc.Client(`localhost:${port}`, grpc.credentials.createInsecure());
  open.push(() => client.close());
  const same = (bytes: Buffer): Buffer => bytes;
  const reply = await new Promise<Buffer | undefined>((resolve) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      same,
      same,
      Buffer.alloc(0),
      (_, bytes) => resolve(bytes),
    );
  });
  expect(reply).toEqual(Buffer.from([0x08, 1]));
});

test('envoy_als says why it cannot listen', async () => {
  const { port } = await listening(collector().deliver);
  await expect(listening(collector().deliver, { endpoint: `127.0.0.1:${port}` })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: the address is in use`,
  );
});

test("envoy_als writes bodies as Kuma's old log names ask for", async () => {
  const sink = collector();
  const { port, context } = await listening(sink.deliver, { log_name: 'kuma' });
  const proxy = new MeshProxy(port);
  const entry = {
    request: { path: '/a', requestMethod: 1 },
    response: { responseCode: { value: 200 } },
  };
  await proxy.send({
    identifier: identifier('a', '10.0.0.9:5000;"%REQ(:METHOD)% %REQ(:PATH)%" %RESPONSE_CODE%\n'),
    httpLogs: { logEntry: [entry, { ...entry, request: { path: '/b' } }] },
  });
  await proxy.end();
  const plain = new MeshProxy(port);
  await plain.send({ identifier: identifier('b', 'plain'), ...http('/c') });
  const long = new MeshProxy(port);
  await long.send({ identifier: identifier('c', `a;${'x'.repeat(20_000)}`), ...http('/d') });
  await sink.until(4);
  expect(sink.records.slice(0, 2).map(({ body }) => body)).toEqual(['"GET /a" 200', '"- /b" 200']);
  expect(sink.records.slice(2).map(({ body }) => body)).toEqual([undefined, undefined]);
  expect(sink.records[0]?.resource['kuma.log_address']).toBe('10.0.0.9:5000');
  expect(context.logged.join()).toContain("expected 2 components separated by ';', got 1");
});
