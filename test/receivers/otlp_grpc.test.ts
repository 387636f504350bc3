import { connect as connectHttp2 } from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { readStatus } from '../../src/encoding/otlp/response.ts';
import type { Deliver, Receiver } from '../../src/pipeline/component.ts';
import { otlp } from '../../src/receivers/otlp/otlp.ts';
import { collector, refusing, type TestContext, testContext } from '../support/collect.ts';
import { exportPath, oracleBytes, readResponse } from '../support/otlp.ts';
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
  more: { grpc?: object; context?: TestContext } = {},
): Promise<Listening> {
  const context = more.context ?? testContext();
  const config = { grpc: { endpoint: '127.0.0.1:0', ...more.grpc }, ...settings };
  const receiver = otlp.create(otlp.config.parse(config), context);
  await receiver.start(deliver);
  open.push(() => receiver.stop());
  return { port: portOf(receiver.status?.()), context, receiver };
}

const same = (bytes: Buffer): Buffer => bytes;

type Answer = { code: number; details: string; status: Buffer | undefined; reply: Buffer };

function client(port: number, credentials = grpc.credentials.createInsecure()) {
  const made = new grpc.Client(`localhost:${port}`, credentials, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_send_message_length': -1,
  });
  open.push(() => made.close());
  return (message: Buffer, headers: Record<string, string> = {}, path = exportPath) =>
    new Promise<Answer>((resolve) => {
      const metadata = new grpc.Metadata();
      for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
      made.makeUnaryRequest(path, same, same, message, metadata, (error, reply) => {
        const { code = 0, details = '', metadata: trailer } = error ?? {};
        const status = trailer?.get('grpc-status-details-bin')[0] as Buffer | undefined;
        resolve({ code, details, status, reply: reply ?? Buffer.alloc(0) });
      });
    });
}

const body = (...lines: string[]): Buffer =>
  oracleBytes({
    resourceLogs: [
      { scopeLogs: [{ logRecords: lines.map((line) => ({ body: { stringValue: line } })) }] },
    ],
  });

test('otlp answers what the pipeline has taken over', async () => {
  const sink = collector();
  const { port, context } = await listening(sink.deliver);
  const send = client(port);
  const answer = await send(body('one', 'two'));
  expect([answer.code, readResponse(answer.reply)]).toEqual([0, { rejected: 0, message: '' }]);
  expect(sink.lines).toEqual(['one', 'two']);
  expect((await send(Buffer.alloc(0))).code).toBe(0);
  expect(await send(Buffer.from([0x0a, 5, 1]))).toMatchObject({
    code: 3,
    details: 'the request is no ExportLogsServiceRequest',
  });
  expect(context.budget.usedBytes).toBe(0);
});

test('otlp delivers requests that come in together as one batch, and answers each for itself', async () => {
  const sink = collector();
  const { port, context } = await listening(sink.deliver);
  const send = client(port);
  await send(body('first'));
  const bad = [0x12, 6, 0x32, 4, 0x0a, 9, 1, 1];
  const answers = await Promise.all([
    send(body('one', 'two')),
    send(Buffer.from([0x0a, 5, 1])),
    send(Buffer.from([0x0a, bad.length + 2, 0x12, bad.length, ...bad])),
    ...Array.from({ length: 20 }, (_, i) => send(body(`line ${i}`))),
  ]);
  expect(answers.map(({ code }) => code)).toEqual([0, 3, ...Array(21).fill(0)]);
  expect(answers.map(({ reply }) => readResponse(reply).rejected)).toEqual([
    0,
    0,
    1,
    ...Array(20).fill(0),
  ]);
  expect(sink.lines.length).toBe(23);
  expect(sink.batches.length).toBeLessThan(12);
  expect(context.dropped).toEqual({ malformed_record: 1 });
  expect(context.budget.usedBytes).toBe(0);
});

test('otlp counts malformed records and names them in a partial success', async () => {
  const { port, context } = await listening(collector().deliver);
  const record = [0x12, 6, 0x32, 4, 0x0a, 9, 1, 1];
  const bytes = Buffer.from([0x0a, record.length + 2, 0x12, record.length, ...record]);
  const { code, reply } = await client(port)(bytes);
  expect([code, readResponse(reply)]).toEqual([
    0,
    { rejected: 1, message: '1 of 1 log records are malformed' },
  ]);
  expect(context.dropped).toEqual({ malformed_record: 1 });
});

test('otlp passes on what the pipeline refuses', async () => {
  const retryable = await client((await listening(refusing({ retryAfterMs: 1500 }))).port)(
    body('x'),
  );
  expect(retryable).toMatchObject({ code: 14, details: 'the test refuses' });
  expect(readStatus(retryable.status ?? Buffer.alloc(0))).toMatchObject({
    code: 14,
    retryAfterMs: 1500,
  });
  const permanent = await client((await listening(refusing({ retryable: false }))).port)(body('x'));
  expect(permanent).toMatchObject({ code: 13, status: undefined });
});

test('otlp asks senders to wait while there is no room', async () => {
  const sink = collector();
  sink.pause();
  const context = testContext({ budgetBytes: 100_000 });
  const { port } = await listening(sink.deliver, { max_wait: '50ms' }, { context });
  const send = client(port);
  const first = send(body('x'.repeat(60_000)));
  while (sink.waiting === 0) await new Promise((done) => setTimeout(done, 5));
  const refused = await send(body('y'.repeat(60_000)));
  expect(refused.code).toBe(14);
  expect(readStatus(refused.status ?? Buffer.alloc(0)).retryAfterMs).toBe(1000);
  sink.resume();
  expect((await first).code).toBe(0);
  expect((await send(body('z'.repeat(60_000)))).code).toBe(0);
  expect(context.budget.usedBytes).toBe(0);
});

test('otlp holds memory within the budget when many send at once', async () => {
  const sink = collector();
  const context = testContext({ budgetBytes: 1_000_000 });
  let most = 0;
  const { port } = await listening(
    async (batch) => {
      most = Math.max(most, context.budget.usedBytes);
      await new Promise((done) => setTimeout(done, 2));
      await sink.deliver(batch);
    },
    { max_wait: '10s' },
    { context },
  );
  const send = client(port);
  const line = 'x'.repeat(100_000);
  const answers = await Promise.all(Array.from({ length: 60 }, () => send(body(line))));
  expect(answers.every(({ code }) => code === 0)).toBe(true);
  expect(sink.records.length).toBe(60);
  expect(most).toBeLessThanOrEqual(1_000_000);
  expect(context.budget.usedBytes).toBe(0);
});

test('otlp counts small requests for what each takes, and asks the rest to wait', async () => {
  const sink = collector();
  sink.pause();
  const context = testContext({ budgetBytes: 512 * 1024 });
  const { port } = await listening(
    sink.deliver,
    { max_wait: '50ms' },
    { context, grpc: { max_concurrent_streams: 1000 } },
  );
  const send = client(port);
  const answers: Answer[] = [];
  const all = Array.from({ length: 400 }, (_, i) =>
    send(body(`line ${i}`)).then((answer) => answers.push(answer)),
  );
  while (answers.length < 300) await new Promise((done) => setTimeout(done, 5));
  await new Promise((done) => setTimeout(done, 100));
  expect(context.budget.usedBytes).toBeLessThanOrEqual(512 * 1024);
  expect(new Set(answers.map(({ code }) => code))).toEqual(new Set([14]));
  expect(readStatus(answers[0]?.status ?? Buffer.alloc(0)).retryAfterMs).toBe(1000);
  sink.resume();
  await Promise.all(all);
  // Each takes 8 KiB and a little.
  expect(sink.records.length).toBeGreaterThan(40);
  expect(sink.records.length).toBeLessThan(64);
  expect(answers.filter(({ code }) => code === 0).length).toBe(sink.records.length);
  expect(context.budget.usedBytes).toBe(0);
});

test('otlp refuses a request over the limit', async () => {
  const { port, context } = await listening(
    collector().deliver,
    {},
    { grpc: { max_recv_msg_size_mib: 0.01 } },
  );
  expect(await client(port)(body('x'.repeat(20_000)))).toMatchObject({
    code: 8,
    details: expect.stringMatching(/^Received message larger than max \(\d+ vs\. 10485\)$/),
  });
  expect(context.budget.usedBytes).toBe(0);
});

test('otlp asks for credentials, but not for health', async () => {
  const { port } = await listening(collector().deliver, { auth: { bearer_token: 's3cret' } });
  const send = client(port);
  expect((await send(body('x'))).code).toBe(16);
  expect((await send(body('x'), { authorization: 'Bearer wrong' })).code).toBe(16);
  expect((await send(body('x'), { authorization: 'Bearer s3cret' })).code).toBe(0);
  const health = await send(Buffer.alloc(0), {}, '/grpc.health.v1.Health/Check');
  expect([health.code, health.reply]).toEqual([0, Buffer.from([8, 1])]);
});

test('otlp gives back what a request held when its sender goes away', async () => {
  const { port, context } = await listening(collector().deliver);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': exportPath,
    'content-type': 'application/grpc',
  });
  stream.on('error', () => undefined);
  stream.write(Buffer.from([0, 0, 1, 0, 0, 1, 2, 3]));
  while (context.budget.usedBytes === 0) await new Promise((done) => setTimeout(done, 5));
  session.destroy();
  while (context.budget.usedBytes > 0) await new Promise((done) => setTimeout(done, 5));
});

test('otlp speaks TLS and takes new certificates without dropping connections', async () => {
  const ca = authority();
  const folder = await certificateFolder();
  const names = ['DNS:localhost', 'IP:127.0.0.1'];
  const files = await folder.put('server', ca.issue(names, 'first'));
  const sink = collector();
  const { port, context, receiver } = await listening(
    sink.deliver,
    {},
    {
      grpc: { tls: { ...files, reload_interval: '20ms' } },
    },
  );
  expect(receiver.status?.()).toBe(`grpc 127.0.0.1:${port} (tls)`);
  const credentials = grpc.credentials.createSsl(Buffer.from(ca.cert));
  const send = client(port, credentials);
  expect((await send(body('one'))).code).toBe(0);
  await folder.put('server', ca.issue(names, 'second'));
  while (!context.logged.some((line) => line.includes('uses the new certificate'))) {
    await new Promise((done) => setTimeout(done, 10));
  }
  expect((await send(body('two'))).code).toBe(0);
  expect((await client(port, credentials)(body('three'))).code).toBe(0);
  expect(sink.lines).toEqual(['one', 'two', 'three']);
});

test('otlp warns of plain text that others can read', async () => {
  const { context } = await listening(collector().deliver, {}, { grpc: { endpoint: '0.0.0.0:0' } });
  expect(context.logged[0]).toMatch(/^warn: listens on 0\.0\.0\.0:0 in plain text/);
});

test('otlp reads what Envoy sends: labels of the node, text as fields', async () => {
  const sink = collector();
  const { port } = await listening(sink.deliver);
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
  await client(port)(
    oracleBytes({
      resourceLogs: [
        {
          resource: {
            attributes: [
              text('log_name', 'otel_envoy_accesslog'),
              text('zone_name', ''),
              text('cluster_name', 'productpage.default'),
              text(
                'node_name',
                'sidecar~10.1.1.1~productpage-v1-x.default~default.svc.cluster.local',
              ),
            ],
          },
          scopeLogs: [
            {
              logRecords: [
                {
                  timeUnixNano: '1600000000000000000',
                  body: { stringValue: '[2020-09-13T12:26:40.000Z] "GET / HTTP/1.1" 200' },
                  attributes: [text('response_code', '200'), text('response_flags', '-')],
                },
              ],
            },
          ],
        },
      ],
    }),
  );
  expect(sink.records).toMatchObject([
    {
      time: 1600000000000000000n,
      body: '[2020-09-13T12:26:40.000Z] "GET / HTTP/1.1" 200',
      attributes: { 'response.code': 200 },
      resource: {
        'envoy.log_name': 'otel_envoy_accesslog',
        'envoy.node.id': 'sidecar~10.1.1.1~productpage-v1-x.default~default.svc.cluster.local',
        'envoy.node.cluster': 'productpage.default',
      },
    },
  ]);
  expect(sink.lines).toEqual(['[2020-09-13T12:26:40.000Z] "GET / HTTP/1.1" 200']);
});
