import { connect } from 'node:net';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { readStatus } from '../../src/encoding/otlp/response.ts';
import type { Deliver, Receiver } from '../../src/pipeline/component.ts';
import { httpStatusOf } from '../../src/receivers/otlp/intake.ts';
import { otlp } from '../../src/receivers/otlp/otlp.ts';
import { collector, refusing, type TestContext, testContext } from '../support/collect.ts';
import { oracleBytes, readResponse } from '../support/otlp.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

type Listening = { url: string; context: TestContext; receiver: Receiver; port: number };

async function listening(
  deliver: Deliver,
  settings: object = {},
  more: { http?: object; context?: TestContext } = {},
): Promise<Listening> {
  const context = more.context ?? testContext();
  const http = { endpoint: '127.0.0.1:0', ...more.http };
  const receiver = otlp.create(otlp.config.parse({ http, ...settings }), context);
  await receiver.start(deliver);
  open.push(() => receiver.stop());
  const address = (receiver.status?.() ?? '').split(' ')[1] ?? '';
  return {
    url: `http://${address}/v1/logs`,
    context,
    receiver,
    port: Number(address.split(':')[1]),
  };
}

const protobuf = { 'content-type': 'application/x-protobuf' };
const json = { 'content-type': 'application/json' };
const body = (...lines: string[]): Buffer =>
  oracleBytes({
    resourceLogs: [
      { scopeLogs: [{ logRecords: lines.map((line) => ({ body: { stringValue: line } })) }] },
    ],
  });
const document = JSON.stringify({
  resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: 'a line' } }] }] }],
});

const post = (url: string, data: Buffer | string, headers: Record<string, string> = protobuf) =>
  fetch(url, { method: 'POST', body: new Uint8Array(Buffer.from(data)), headers });

const bytesOf = async (response: Response): Promise<Buffer> =>
  Buffer.from(await response.arrayBuffer());

test('otlp answers in the encoding of the request', async () => {
  const sink = collector();
  const { url } = await listening(sink.deliver);
  const first = await post(url, body('one'));
  expect([first.status, first.headers.get('content-type')]).toEqual([
    200,
    'application/x-protobuf',
  ]);
  expect(readResponse(await bytesOf(first))).toEqual({ rejected: 0, message: '' });
  const second = await post(url, document, { 'content-type': 'application/json; charset=utf-8' });
  expect([second.status, second.headers.get('content-type')]).toEqual([200, 'application/json']);
  expect(await second.text()).toBe('{}');
  expect(sink.lines).toEqual(['one', 'a line']);
  expect((await post(url, Buffer.alloc(0))).status).toBe(200);
  expect((await post(url, '{"resourceLogs":[],"unexpected":"value"}', json)).status).toBe(200);
});

describe('otlp refuses what is no request for it', () => {
  test('in the words of the Collector', async () => {
    const { url } = await listening(collector().deliver);
    const get = await fetch(url);
    expect([get.status, get.headers.get('allow'), await get.text()]).toEqual([
      405,
      'POST',
      '405 method not allowed, supported: [POST]',
    ]);
    const text = await post(url, 'x', { 'content-type': 'text/plain' });
    expect([text.status, await text.text()]).toEqual([
      415,
      '415 unsupported media type, supported: [application/json, application/x-protobuf]',
    ]);
    expect((await post(url.replace('/v1/logs', '/v1/traces'), body('x'))).status).toBe(404);
  });

  test('with a status in the encoding of the request', async () => {
    const { url, context } = await listening(collector().deliver);
    const bad = await post(url, Buffer.from([0x0a, 5, 1]));
    expect(bad.status).toBe(400);
    expect(readStatus(await bytesOf(bad))).toMatchObject({
      code: 3,
      message: 'the request is no ExportLogsServiceRequest',
    });
    const worse = await post(url, '{"resourceLogs":5}', json);
    expect([worse.status, worse.headers.get('content-type')]).toEqual([400, 'application/json']);
    expect(await worse.json()).toEqual({
      code: 3,
      message: 'the request is no OTLP/JSON: resourceLogs is not a list',
    });
    expect(context.budget.usedBytes).toBe(0);
  });
});

describe('otlp decompresses', () => {
  for (const [encoding, compress] of [
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
    ['deflate', deflateSync],
    ['zlib', deflateSync],
    ['identity', (data: Buffer) => data],
  ] as const) {
    test(encoding, async () => {
      const sink = collector();
      const { url } = await listening(sink.deliver);
      const headers = { ...protobuf, 'content-encoding': encoding };
      expect((await post(url, compress(body('x'.repeat(5000))), headers)).status).toBe(200);
      expect(sink.lines[0]?.length).toBe(5000);
      const broken = await post(url, Buffer.from('no such thing'), headers);
      expect(broken.status).toBe(400);
    });
  }

  test('snappy and lz4', async () => {
    const sink = collector();
    const { url } = await listening(sink.deliver);
    const message = body('a line');
    const block = Buffer.from([message.length, (message.length - 1) << 2, ...message]);
    const frame = Buffer.concat([
      Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, message.length, 0, 0, 0x80]),
      message,
      Buffer.alloc(4),
    ]);
    for (const [encoding, data] of [
      ['snappy', block],
      ['lz4', frame],
    ] as const) {
      const headers = { ...protobuf, 'content-encoding': encoding };
      expect((await post(url, data, headers)).status).toBe(200);
      expect((await post(url, Buffer.from('no such thing'), headers)).status).toBe(400);
    }
    expect(sink.lines).toEqual(['a line', 'a line']);
  });

  test('but no bombs, and nothing unknown', async () => {
    const { url, context } = await listening(
      collector().deliver,
      {},
      { http: { max_request_body_size: 10_000 } },
    );
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const answer = await post(url, bomb.subarray(0, 9000), {
      ...protobuf,
      'content-encoding': 'gzip',
    });
    expect(answer.status).toBe(400);
    const zstd = await post(url, zstdCompressSync(Buffer.alloc(50_000_000)), {
      ...protobuf,
      'content-encoding': 'zstd',
    });
    expect([zstd.status, readStatus(await bytesOf(zstd)).message]).toEqual([
      400,
      'request body too large',
    ]);
    const unknown = await post(url, body('x'), { ...protobuf, 'content-encoding': 'br' });
    expect([unknown.status, readStatus(await bytesOf(unknown)).message]).toEqual([
      400,
      'unsupported Content-Encoding: br',
    ]);
    expect(context.budget.usedBytes).toBe(0);
  });
});

test('otlp takes a body of exactly the limit, announced or not, and none that is longer', async () => {
  const sink = collector();
  const max_request_body_size = 3000;
  const { url, context } = await listening(sink.deliver, {}, { http: { max_request_body_size } });
  const padding = max_request_body_size - body('x'.repeat(2900)).length + 2900;
  const exact = body('x'.repeat(padding));
  expect(exact.length).toBe(max_request_body_size);
  const chunked = (data: Buffer) =>
    fetch(url, {
      method: 'POST',
      body: new Blob([new Uint8Array(data)]).stream(),
      headers: protobuf,
      duplex: 'half',
    } as RequestInit);
  expect((await post(url, exact)).status).toBe(200);
  expect((await chunked(exact)).status).toBe(200);
  for (const answer of [
    await post(url, body('x'.repeat(padding + 1))),
    await chunked(body('x'.repeat(100_000))),
  ]) {
    expect(answer.status).toBe(400);
    expect(readStatus(await bytesOf(answer)).message).toBe('request body too large');
  }
  expect(sink.records.length).toBe(2);
  expect(context.budget.usedBytes).toBe(0);
});

test('otlp rejects malformed records and takes the others', async () => {
  const sink = collector();
  const { url, context } = await listening(sink.deliver);
  const record = (content: number[]): number[] => [0x12, content.length, ...content];
  const records = [...record([0x2a, 3, 0x0a, 1, 120]), ...record([0x32, 4, 0x0a, 9, 1, 1])];
  const bytes = [0x0a, records.length + 2, 0x12, records.length, ...records];
  const answer = await post(url, Buffer.from(bytes));
  expect(answer.status).toBe(200);
  expect(readResponse(await bytesOf(answer))).toEqual({
    rejected: 1,
    message: '1 of 2 log records are malformed',
  });
  expect(context.dropped).toEqual({ malformed_record: 1 });
  expect(sink.lines).toEqual(['x']);
});

test('otlp passes on what the pipeline refuses', async () => {
  const later = await listening(refusing({ retryAfterMs: 2500 }));
  const retryable = await post(later.url, body('x'));
  expect([retryable.status, retryable.headers.get('retry-after')]).toEqual([503, '3']);
  expect(readStatus(await bytesOf(retryable))).toEqual({
    code: 14,
    message: 'the test refuses',
    retryAfterMs: 2500,
  });
  const never = await listening(refusing({ retryable: false }));
  const permanent = await post(never.url, document, json);
  expect([permanent.status, permanent.headers.get('retry-after')]).toEqual([500, null]);
  expect(await permanent.json()).toEqual({ code: 13, message: 'the test refuses' });
  const defect = await listening(() => Promise.reject(new Error('a defect')));
  expect((await post(defect.url, body('x'))).status).toBe(503);
});

test('otlp asks senders to wait while there is no room, and takes them again afterwards', async () => {
  const sink = collector();
  sink.pause();
  let aheadMs = 0;
  const context = testContext({ budgetBytes: 100_000, now: () => Date.now() + aheadMs });
  const { url } = await listening(sink.deliver, { max_wait: '50ms' }, { context });
  const first = post(url, body('x'.repeat(60_000)));
  while (sink.waiting === 0) await new Promise((done) => setTimeout(done, 5));
  const refused = await post(url, body('y'.repeat(60_000)));
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  expect(context.logged).toEqual([
    'warn: refuses requests for now: the pipeline cannot take more; senders are asked to wait',
  ]);
  // One that waits is taken when room appears in time.
  const waiting = post(url, body('z'.repeat(60_000)));
  await new Promise((done) => setTimeout(done, 20));
  sink.resume();
  expect([(await first).status, (await waiting).status]).toEqual([200, 200]);
  expect(context.logged.length).toBe(1);
  aheadMs = 31_000;
  await post(url, body('later'));
  expect(context.logged.at(-1)).toBe('info: has room for all requests again');
  expect(context.budget.usedBytes).toBe(0);
  const held = context.metrics.read('meshlog_receiver_held_back_seconds_total', {
    receiver: 'test',
  });
  expect(held).toBeGreaterThan(0.05);
});

test('otlp asks for credentials', async () => {
  const sink = collector();
  const { url } = await listening(sink.deliver, {
    auth: { bearer_token: 's3cret', headers: { 'X-Tenant': 'a' } },
  });
  const status = async (headers: Record<string, string>) =>
    (await post(url, body('x'), { ...protobuf, ...headers })).status;
  expect(await status({})).toBe(401);
  expect(await status({ authorization: 'Bearer s3cret' })).toBe(401);
  expect(await status({ authorization: 'Bearer other', 'x-tenant': 'a' })).toBe(401);
  expect(await status({ authorization: 'bearer s3cret', 'x-tenant': 'a' })).toBe(200);
  expect(sink.records.length).toBe(1);
});

test('otlp answers garbage with 400 and serves the others', async () => {
  const sink = collector();
  const { url, port, context } = await listening(sink.deliver);
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('\x16\x03\x01 garbage\r\n\r\n'));
    socket.on('data', (data) => resolve(data.toString()));
    socket.on('error', () => undefined);
  });
  expect(answer).toMatch(/^HTTP\/1.1 400 /);
  expect((await post(url, body('x'))).status).toBe(200);
  const labels = { receiver: 'test', reason: 'protocol' };
  expect(context.metrics.read('meshlog_receiver_connections_refused_total', labels)).toBe(1);
});

test('otlp forgets a request whose sender goes away in the middle', async () => {
  const { port, context } = await listening(collector().deliver);
  const socket = connect(port, '127.0.0.1');
  socket.write(
    'POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100000\r\n\r\nabc',
  );
  while (context.budget.usedBytes === 0) await new Promise((done) => setTimeout(done, 5));
  socket.destroy();
  while (context.budget.usedBytes > 0) await new Promise((done) => setTimeout(done, 5));
});

test('otlp finishes what it has taken before it stops', async () => {
  const sink = collector();
  sink.pause();
  const { url, receiver } = await listening(sink.deliver);
  const sent = post(url, body('x'));
  while (sink.waiting === 0) await new Promise((done) => setTimeout(done, 5));
  const stopped = receiver.stop();
  await expect(post(url, body('late'))).rejects.toThrow();
  sink.resume();
  expect((await sent).status).toBe(200);
  await stopped;
});

test('otlp says why it cannot listen, and leaves nothing open', async () => {
  const { port } = await listening(collector().deliver);
  const settings = { grpc: { endpoint: '127.0.0.1:0' }, http: { endpoint: `127.0.0.1:${port}` } };
  const second = otlp.create(otlp.config.parse(settings), testContext());
  await expect(second.start(collector().deliver)).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: the address is in use`,
  );
  expect(second.status?.()).toBe('');
});

describe('otlp gives HTTP the status that says the same as a gRPC code', () => {
  const expected: Record<number, number[]> = {
    503: [1, 4, 10, 11, 14, 15],
    429: [8],
    400: [3],
    401: [16],
    403: [7],
    404: [12],
    500: [2, 5, 6, 9, 13],
  };
  for (const [status, codes] of Object.entries(expected)) {
    test(status, () => {
      expect(codes.map(httpStatusOf)).toEqual(codes.map(() => Number(status)));
    });
  }
});
