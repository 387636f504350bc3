// HTTP/2 on the HTTP port of the otlp receiver, by clients that are not ours.

import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Agent, request } from 'undici';
import { afterEach, expect, test } from 'vitest';
import type { Receiver } from '../../src/pipeline/component.ts';
import { otlp } from '../../src/receivers/otlp/otlp.ts';
import { type Collector, collector, type TestContext, testContext } from '../support/collect.ts';
import { oracleBytes, readResponse } from '../support/otlp.ts';
import { dataFrame, greeting, headersFrame, preface } from '../support/raw_http2.ts';
import { eventually, portOf } from '../support/sockets.ts';
import { authority, certificateFolder } from '../support/tls.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

type Listening = { port: number; context: TestContext; receiver: Receiver; sink: Collector };

async function listening(http: object = {}, settings: object = {}): Promise<Listening> {
  const [sink, context] = [collector(), testContext()];
  const config = { http: { endpoint: '127.0.0.1:0', ...http }, ...settings };
  const receiver = otlp.create(otlp.config.parse(config), context);
  await receiver.start(sink.deliver);
  open.push(() => receiver.stop());
  return { port: portOf(receiver.status?.()), context, receiver, sink };
}

const body = (text: string): Buffer =>
  oracleBytes({
    resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: text } }] }] }],
  });

function session(to: string, options: object = {}): ClientHttp2Session {
  const made = connect(to, options);
  made.on('error', () => undefined);
  open.push(() => made.destroy());
  return made;
}

type Answer = { status: number; bytes: Buffer };

function post(
  on: ClientHttp2Session,
  data: Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const stream = on.request({
    ':method': 'POST',
    ':path': '/v1/logs',
    'content-type': 'application/x-protobuf',
    ...headers,
  });
  const chunks: Buffer[] = [];
  let status = 0;
  stream.on('response', (found) => {
    status = Number(found[':status']);
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => undefined);
  stream.end(data);
  return new Promise((resolve) => {
    stream.on('close', () => resolve({ status, bytes: Buffer.concat(chunks) }));
  });
}

const postHttp1 = async (url: string, text: string): Promise<number> =>
  (
    await fetch(url, {
      method: 'POST',
      body: new Uint8Array(body(text)),
      headers: { 'content-type': 'application/x-protobuf' },
    })
  ).status;

test('otlp takes HTTP/2 without TLS beside HTTP/1.1 on one port', async () => {
  const { port, sink, context } = await listening();
  const on = session(`http://127.0.0.1:${port}`);
  const first = await post(on, body('one'));
  expect([first.status, readResponse(first.bytes)]).toEqual([200, { rejected: 0, message: '' }]);
  expect(await postHttp1(`http://127.0.0.1:${port}/v1/logs`, 'two')).toBe(200);
  const packed = gzipSync(body('x'.repeat(500_000)));
  expect((await post(on, packed, { 'content-encoding': 'gzip' })).status).toBe(200);
  expect((await post(on, body('y'.repeat(3_000_000)))).status).toBe(200);
  expect(sink.lines.map((line) => line.length)).toEqual([3, 3, 500_000, 3_000_000]);
  for (const [status, headers, data] of [
    [404, { ':path': '/v1/traces' }, body('x')],
    [405, { ':method': 'PUT' }, body('x')],
    [415, { 'content-type': 'text/plain' }, body('x')],
    [400, {}, Buffer.from([0x0a, 5, 1])],
  ] as const) {
    expect((await post(on, data, headers)).status).toBe(status);
  }
  expect((await post(on, body('after all that'))).status).toBe(200);
  await eventually(() => context.budget.usedBytes === 0);
});

test('otlp takes many requests at once over HTTP/2', async () => {
  const { port, sink } = await listening();
  const on = session(`http://127.0.0.1:${port}`);
  const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => post(on, body(`${i}`))));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(new Set(sink.lines).size).toBe(500);
});

test('otlp knows HTTP/2 by a preface that comes in pieces, and HTTP/1.1 by one that turns out to be none', async () => {
  const { port, sink, context } = await listening();
  const refused = (reason: string): number | undefined =>
    context.metrics.read('meshlog_receiver_connections_refused_total', {
      receiver: 'test',
      reason,
    });
  for (const [pieces, answer] of [
    [[preface.subarray(0, 2), preface.subarray(2, 20), preface.subarray(20)], /^\0\0.\x04/s],
    [[Buffer.from('P'), Buffer.from('OST / HTTP/1.1\r\nHost: x\r\n\r\n')], /^HTTP\/1\.1 404/],
    [[Buffer.from('PRINT / HTTP/1.1\r\n\r\n')], /^HTTP\/1\.1 400/],
  ] as const) {
    const socket = connectTcp(port, '127.0.0.1').setNoDelay();
    open.push(() => socket.destroy());
    for (const piece of pieces) {
      socket.write(piece);
      await sleep(30);
    }
    expect(String((await once(socket, 'data'))[0])).toMatch(answer);
  }
  expect(refused('protocol')).toBe(1);
  const garbage = connectTcp(port, '127.0.0.1');
  garbage.on('error', () => undefined);
  garbage.resume();
  garbage.write(Buffer.concat([preface, Buffer.alloc(300, 0xff)]));
  await once(garbage, 'close');
  expect(refused('protocol')).toBe(2);
  expect(await postHttp1(`http://127.0.0.1:${port}/v1/logs`, 'x')).toBe(200);
  expect(sink.records).toHaveLength(1);
});

test('otlp agrees with TLS peers on HTTP/2 or HTTP/1.1, and takes new certificates for both', async () => {
  const ca = authority();
  const folder = await certificateFolder();
  const names = ['DNS:localhost', 'IP:127.0.0.1'];
  const files = await folder.put('server', ca.issue(names, 'first'));
  const { port, sink, context } = await listening({ tls: { ...files, reload_interval: '20ms' } });
  const url = `https://localhost:${port}`;
  const two = session(url, { ca: ca.cert });
  expect((await post(two, body('two'))).status).toBe(200);
  const agent = new Agent({ allowH2: false, connect: { ca: ca.cert } });
  open.push(() => agent.destroy());
  const postOne = async (): Promise<number> => {
    const headers = { 'content-type': 'application/x-protobuf' };
    const options = { method: 'POST', body: body('one'), headers, dispatcher: agent } as const;
    const answer = await request(`${url}/v1/logs`, options);
    await answer.body.dump();
    return answer.statusCode;
  };
  expect(await postOne()).toBe(200);
  await folder.put('server', ca.issue(names, 'second'));
  await eventually(() => context.logged.some((line) => line.includes('uses the new certificate')));
  expect((await post(two, body('two'))).status).toBe(200);
  expect(await postOne()).toBe(200);
  const later = session(url, { ca: ca.cert });
  expect((await post(later, body('two'))).status).toBe(200);
  expect(sink.lines).toEqual(['two', 'one', 'two', 'one', 'two']);
});

test('otlp finishes requests over HTTP/2 that it has taken before it stops', async () => {
  const { port, receiver, sink } = await listening();
  sink.pause();
  const on = session(`http://127.0.0.1:${port}`);
  const sent = post(on, body('x'));
  await eventually(() => sink.waiting > 0);
  const stopped = receiver.stop();
  await eventually(() => on.closed);
  sink.resume();
  expect((await sent).status).toBe(200);
  await stopped;
});

test('otlp leaves HTTP/2 peers that say nothing, and answers those that wait for the pipeline', async () => {
  const { port, sink } = await listening({ idle_timeout: '150ms' });
  const idle = session(`http://127.0.0.1:${port}`);
  expect((await post(idle, body('one'))).status).toBe(200);
  await eventually(() => idle.destroyed, 3000);
  sink.pause();
  const waits = session(`http://127.0.0.1:${port}`);
  const sent = post(waits, body('two'));
  await sleep(600);
  sink.resume();
  expect((await sent).status).toBe(200);
});

test('otlp ends HTTP/2 requests that are never whole, and connections without a word', async () => {
  const { port, context } = await listening({}, { request_timeout: '200ms' });
  const refused = (reason = 'timeout'): number | undefined =>
    context.metrics.read('meshlog_receiver_requests_refused_total', { receiver: 'test', reason });
  const socket = connectTcp(port, '127.0.0.1');
  socket.resume();
  open.push(() => socket.destroy());
  const headers = headersFrame(1, '/v1/logs', { 'content-type': 'application/x-protobuf' });
  socket.write(Buffer.concat([greeting, headers, dataFrame(1, Buffer.alloc(10))]));
  await eventually(() => context.budget.usedBytes > 0);
  await eventually(() => refused() === 1);
  await eventually(() => context.budget.usedBytes === 0);
  expect(refused('cut_short')).toBeUndefined();
  expect(socket.destroyed).toBe(false);
  const silent = connectTcp(port, '127.0.0.1');
  silent.resume();
  await once(silent, 'close');
});
