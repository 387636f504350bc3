import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { putStatus } from '../../src/encoding/otlp/response.ts';
import { otlp } from '../../src/exporters/otlp/otlp.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import type { ExportError } from '../../src/pipeline/errors.ts';
import { type TestContext, testContext } from '../support/collect.ts';
import { type HttpSink, httpSink, oracleResponse, seenRecords } from '../support/otlp.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function sink(options: { path?: string } = {}): Promise<HttpSink> {
  const made = await httpSink(options);
  open.push(() => made.close());
  return made;
}

async function started(settings: object): Promise<{
  context: TestContext;
  send: (lines: string[], timeoutMs?: number) => Promise<void>;
}> {
  const context = testContext({ now: () => 0 });
  const exporter = otlp.create(
    otlp.config.parse({ protocol: 'http/protobuf', ...settings }),
    context,
  );
  await exporter.start?.();
  open.push(() => exporter.stop());
  return {
    context,
    send: (lines, timeoutMs = 5000) =>
      exporter.export(Batch.ofLines(lines), AbortSignal.timeout(timeoutMs)),
  };
}

const failure = (promise: Promise<void>): Promise<ExportError> =>
  promise.then(
    () => Promise.reject(new Error('was delivered')),
    (error: ExportError) => error,
  );

for (const compression of ['none', 'gzip', 'zstd']) {
  test(`otlp posts protobuf, compression ${compression}`, async () => {
    const server = await sink();
    const { send } = await started({
      endpoint: `http://127.0.0.1:${server.port}/base`,
      headers: { Authorization: 'Bearer t' },
      compression,
    });
    await send(['one', 'two']);
    expect(server.requests[0]).toMatchObject({
      path: '/base/v1/logs',
      headers: { 'content-type': 'application/x-protobuf', authorization: 'Bearer t' },
    });
    expect(server.requests[0]?.headers['content-encoding']).toBe(
      compression === 'none' ? undefined : compression,
    );
    expect(server.requests.flatMap(({ body }) => seenRecords(body)).length).toBe(2);
  });
}

test('otlp posts JSON', async () => {
  const server = await sink();
  const { send, context } = await started({
    protocol: 'http/json',
    endpoint: `127.0.0.1:${server.port}`,
  });
  server.answers = [
    {
      headers: { 'content-type': 'application/json' },
      body: '{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}',
    },
  ];
  await send(['one', 'two']);
  expect(server.requests[0]).toMatchObject({
    path: '/v1/logs',
    headers: { 'content-type': 'application/json' },
  });
  const document = JSON.parse(server.requests[0]?.body.toString() ?? '') as {
    resourceLogs: { scopeLogs: { logRecords: { body: object }[] }[] }[];
  };
  expect(document.resourceLogs[0]?.scopeLogs[0]?.logRecords.map(({ body }) => body)).toEqual([
    { stringValue: 'one' },
    { stringValue: 'two' },
  ]);
  expect(context.dropped).toEqual({ rejected_by_peer: 1 });
});

test('otlp over http counts what a protobuf answer rejects', async () => {
  const server = await sink();
  const { send, context } = await started({ endpoint: `http://127.0.0.1:${server.port}` });
  server.answers = [
    { headers: { 'content-type': 'application/x-protobuf' }, body: oracleResponse(2, 'no') },
  ];
  await send(['one', 'two', 'three']);
  expect(context.dropped).toEqual({ rejected_by_peer: 2 });
});

test('otlp over http uses a unix socket', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'otlp-')), 's');
  const server = await sink({ path });
  const { send } = await started({ endpoint: `unix:${path}` });
  await send(['x']);
  expect(server.requests.length).toBe(1);
});

describe('otlp over http tells what is worth another try', () => {
  const date = new Date(7000).toUTCString();
  for (const [status, retryAfter, expected] of [
    [429, '3', { retryable: true, retryAfterMs: 3000 }],
    [502, undefined, { retryable: true }],
    [503, date, { retryable: true, retryAfterMs: 7000 }],
    [504, 'soon', { retryable: true, retryAfterMs: undefined }],
    [301, undefined, { retryable: false }],
    [400, undefined, { retryable: false, tooLarge: false }],
    [401, undefined, { retryable: false }],
    [404, undefined, { retryable: false }],
    [413, undefined, { retryable: false, tooLarge: true }],
    [500, '3', { retryable: false, retryAfterMs: undefined }],
    [501, undefined, { retryable: false }],
  ] as const) {
    test(`HTTP ${status}`, async () => {
      const server = await sink();
      const { send } = await started({ endpoint: `http://127.0.0.1:${server.port}` });
      server.answers = [
        { status, ...(retryAfter === undefined ? {} : { headers: { 'retry-after': retryAfter } }) },
      ];
      expect(await failure(send(['x']))).toMatchObject(expected);
    });
  }

  for (const [contentType, body] of [
    [
      'application/x-protobuf',
      putStatus({ code: 3, message: 'no such tenant', retryAfterMs: undefined }),
    ],
    ['application/json', '{"code":3,"message":"no such tenant"}'],
    ['text/plain; charset=utf-8', 'no such\ntenant\n'],
  ] as const) {
    test(`the words of ${contentType}`, async () => {
      const server = await sink();
      const { send } = await started({ endpoint: `http://127.0.0.1:${server.port}` });
      server.answers = [{ status: 400, headers: { 'content-type': contentType }, body }];
      expect((await failure(send(['x']))).cause).toMatchObject({
        message: 'HTTP 400: no such tenant',
      });
    });
  }

  test('no server, a reset, silence, an endless answer', async () => {
    const server = await sink();
    const { send } = await started({ endpoint: `http://127.0.0.1:${server.port}` });
    server.answers = ['reset', 'never', { status: 400, body: 'x'.repeat(1_000_000) }];
    expect((await failure(send(['x']))).retryable).toBe(true);
    expect((await failure(send(['x'], 100))).cause).toMatchObject({
      message: 'no answer within the timeout',
    });
    expect((await failure(send(['x']))).retryable).toBe(false);
    server.close();
    const error = await failure(send(['x']));
    expect(error).toMatchObject({
      retryable: true,
      message: `cannot send 1 records to 127.0.0.1:${server.port}`,
    });
    expect(String((error.cause as Error).message)).toContain('ECONNREFUSED');
  });
});
