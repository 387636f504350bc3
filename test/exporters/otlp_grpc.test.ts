import { mkdtempSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { putStatus } from '../../src/encoding/otlp/response.ts';
import { otlp } from '../../src/exporters/otlp/otlp.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import type { ExportError } from '../../src/pipeline/errors.ts';
import { type TestContext, testContext } from '../support/collect.ts';
import { type GrpcSink, grpcSink, oracleResponse } from '../support/otlp.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function sink(...args: Parameters<typeof grpcSink>): Promise<GrpcSink> {
  const made = await grpcSink(...args);
  open.push(() => made.close());
  return made;
}

async function started(
  settings: object,
  context: TestContext = testContext(),
): Promise<{
  exporter: Exporter;
  context: TestContext;
  send: (...lines: string[]) => Promise<void>;
}> {
  const exporter = otlp.create(otlp.config.parse(settings), context);
  await exporter.start?.();
  open.push(() => exporter.stop());
  const send = (...lines: string[]): Promise<void> =>
    exporter.export(Batch.ofLines(lines), AbortSignal.timeout(5000));
  return { exporter, context, send };
}

const failure = (promise: Promise<void>): Promise<ExportError> =>
  promise.then(
    () => Promise.reject(new Error('was delivered')),
    (error: ExportError) => error,
  );

test('otlp delivers records with headers and a name', async () => {
  const server = await sink();
  const { exporter, send } = await started({
    endpoint: `127.0.0.1:${server.port}`,
    headers: { authorization: 'Bearer t', 'X-Scope-OrgID': '7' },
  });
  await send('one', 'two');
  expect(server.records().map(({ body }) => body)).toEqual(['one', 'two']);
  const metadata = server.metadata[0];
  expect(metadata?.get('authorization')).toEqual(['Bearer t']);
  expect(metadata?.get('x-scope-orgid')).toEqual(['7']);
  expect(String(metadata?.get('user-agent'))).toMatch(/^meshlog\/\d/);
  expect(exporter.status?.()).toBe(`127.0.0.1:${server.port} (grpc)`);
});

test('otlp compresses with gzip when told', async () => {
  const server = await sink();
  const { send } = await started({
    endpoint: `http://127.0.0.1:${server.port}`,
    compression: 'gzip',
  });
  await send('x'.repeat(10_000));
  expect(server.records()[0]?.body).toBe('x'.repeat(10_000));
});

test('otlp connects to a unix socket', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'otlp-')), 's');
  const server = await sink({ address: `unix:${path}` });
  const { send } = await started({ endpoint: `unix:${path}` });
  await send('one');
  expect(server.records().length).toBe(1);
});

test('otlp keeps several exports under way at once', async () => {
  const server = await sink();
  const { send } = await started({ endpoint: `127.0.0.1:${server.port}` });
  await Promise.all(Array.from({ length: 60 }, (_, i) => send(`line ${i}`)));
  expect(new Set(server.records().map(({ body }) => body)).size).toBe(60);
});

test('otlp splits a batch into requests below the limit and resumes a half delivered one', async () => {
  const server = await sink();
  const { exporter, context } = await started({
    endpoint: `127.0.0.1:${server.port}`,
    max_request_bytes: 2500,
  });
  const batch = Batch.ofLines(Array.from({ length: 10 }, (_, i) => String(i).repeat(1000)));
  server.answers = [oracleResponse(), { code: 14, details: 'restarting' }, oracleResponse()];
  const signal = AbortSignal.timeout(5000);
  expect((await failure(exporter.export(batch, signal))).retryable).toBe(true);
  await exporter.export(batch, signal);
  expect(server.requests.length).toBe(6);
  expect(server.requests.every(({ length }) => length <= 2500)).toBe(true);
  const bodies = server.records().map(({ body }) => String(body)[0]);
  // Only the two records of the refused request come twice.
  expect(bodies.join('')).toBe('012323456789');
  expect(context.dropped).toEqual({});
});

const retryInfo = (ms: number): Metadata => {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', putStatus({ code: 8, message: '', retryAfterMs: ms }));
  return metadata;
};

describe('otlp tells what is worth another try', () => {
  const retryable = [1, 4, 10, 11, 14, 15];
  for (const code of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]) {
    test(`code ${code}`, async () => {
      const server = await sink();
      const { send } = await started({ endpoint: `127.0.0.1:${server.port}` });
      server.answers = [{ code, details: 'no' }];
      const error = await failure(send('x'));
      expect(error.message).toBe(`cannot send 1 records to 127.0.0.1:${server.port}`);
      expect(error.retryable).toBe(retryable.includes(code));
      expect(error.tooLarge).toBe(false);
    });
  }

  test('RESOURCE_EXHAUSTED with RetryInfo', async () => {
    const server = await sink();
    const { send } = await started({ endpoint: `127.0.0.1:${server.port}` });
    server.answers = [{ code: 8, details: 'later', metadata: retryInfo(2250) }];
    expect(await failure(send('x'))).toMatchObject({ retryable: true, retryAfterMs: 2250 });
  });

  test('a request over the limit of the server', async () => {
    const server = await sink({ options: { 'grpc.max_receive_message_length': 1000 } });
    const { send } = await started({ endpoint: `127.0.0.1:${server.port}` });
    const error = await failure(send('x'.repeat(2000)));
    expect(error).toMatchObject({ retryable: false, tooLarge: true });
    await send('small');
  });
});

test('otlp counts what the peer rejects and says so once', async () => {
  const server = await sink();
  let now = 1000;
  const context = testContext({ now: () => now });
  const { send } = await started({ endpoint: `127.0.0.1:${server.port}` }, context);
  server.answers = [oracleResponse(2, 'bad id'), oracleResponse(1, 'bad id'), oracleResponse()];
  await send('a', 'b', 'c');
  await send('a', 'b');
  await send('a');
  expect(context.dropped).toEqual({ rejected_by_peer: 3 });
  expect(context.logged).toEqual([
    `error: 127.0.0.1:${server.port} rejects 2 of 3 records: bad id`,
  ]);
  now += 61_000;
  await send('a');
  expect(context.logged.slice(1)).toEqual([
    `info: 127.0.0.1:${server.port} takes all records again; it rejected 3`,
  ]);
});

test('otlp passes on a warning that comes with a success', async () => {
  const server = await sink();
  const { send, context } = await started({ endpoint: `127.0.0.1:${server.port}` });
  server.answers = [oracleResponse(0, 'deprecated')];
  await send('a');
  await send('a');
  expect(context.dropped).toEqual({});
  expect(context.logged).toEqual([`warn: 127.0.0.1:${server.port} warns: deprecated`]);
});

test('otlp puts what a peer says on one line that is not long', async () => {
  const server = await sink();
  const { send, context } = await started({ endpoint: `127.0.0.1:${server.port}` });
  const said = `no\n10:04:02 ERROR all is lost\u001b[2J${'!'.repeat(5000)}`;
  const line = /^(UNAVAILABLE: )?no 10:04:02 ERROR all is lost \[2J!{200,300}$/;
  server.answers = [{ code: 14, details: said }, oracleResponse(0, said)];
  expect(((await failure(send('a'))).cause as Error).message).toMatch(line);
  await send('a');
  expect(context.logged[0]?.replace(/^.* warns: /, '')).toMatch(line);
});

test('otlp reports a refused connection, and recovers within about a second of a restart', async () => {
  const first = await grpcSink();
  const { send } = await started({ endpoint: `127.0.0.1:${first.port}` });
  await send('before');
  first.close();
  const error = await failure(send('x'));
  expect(error.retryable).toBe(true);
  for (let i = 0; i < 10; i++) {
    await failure(send('x'));
    await new Promise((done) => setTimeout(done, 100));
  }
  const second = await sink({ address: `127.0.0.1:${first.port}` });
  const restarted = performance.now();
  while (second.requests.length === 0) {
    await send('after').catch(() => undefined);
    await new Promise((done) => setTimeout(done, 20));
  }
  expect(performance.now() - restarted).toBeLessThan(2000);
});

test('otlp gives up a request that is not answered, and its connection after several', async () => {
  const server = await sink();
  const { exporter } = await started({ endpoint: `127.0.0.1:${server.port}` });
  server.answers = ['never'];
  const attempt = (): Promise<ExportError> =>
    failure(exporter.export(Batch.ofLines(['x']), AbortSignal.timeout(100)));
  for (let i = 0; i < 3; i++) {
    expect(await attempt()).toMatchObject({
      retryable: true,
      cause: { message: 'no answer within the timeout' },
    });
  }
  server.answers = [];
  await exporter.export(Batch.ofLines(['y']), AbortSignal.timeout(5000));
  expect(server.records().at(-1)?.body).toBe('y');
});

test('otlp stays bounded before a peer that accepts and says nothing', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  const port = await new Promise<number>((done) =>
    silent.listen(0, '127.0.0.1', () => done((silent.address() as { port: number }).port)),
  );
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const { exporter } = await started({ endpoint: `127.0.0.1:${port}` });
  const error = await failure(exporter.export(Batch.ofLines(['x']), AbortSignal.timeout(150)));
  expect(error.retryable).toBe(true);
});

test('otlp takes a connection that is reset for a reason to try again', async () => {
  const server = await sink();
  const { send } = await started({ endpoint: `127.0.0.1:${server.port}` });
  server.answers = ['reset'];
  expect((await failure(send('x'))).retryable).toBe(true);
});
