// What both gRPC receivers, and OTLP over HTTP, promise about who may come in and how connections end.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { envoy_als } from '../../src/receivers/envoy_als/envoy_als.ts';
import { otlp } from '../../src/receivers/otlp/otlp.ts';
import { type Collector, collector, type TestContext, testContext } from '../support/collect.ts';
import { kinds, listeningGrpc, messageOf, pathOf, RawClient } from '../support/grpc_peers.ts';
import { framed } from '../support/raw_http2.ts';
import { closed, eventually, portOf } from '../support/sockets.ts';
import { authority, type CertificateFolder, certificateFolder } from '../support/tls.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const ca = authority();
const names = ['DNS:localhost', 'IP:127.0.0.1'];

type Tls = {
  port: number;
  context: TestContext;
  sink: Collector;
  folder: CertificateFolder;
  refused(reason: string): number;
};

const listeners = ['envoy_als', 'otlp grpc', 'otlp http'] as const;
type Listener = (typeof listeners)[number];

/** A listener with TLS. `tls` adds to its settings; `settings` are those of the receiver. */
async function secured(listener: Listener, tls: object = {}, settings: object = {}): Promise<Tls> {
  const folder = await certificateFolder();
  const files = await folder.put('server', ca.issue(names, 'first'));
  const client_ca_file = await folder.write('ca.crt', ca.cert);
  const own = {
    endpoint: '127.0.0.1:0',
    tls: { ...files, ...('client_ca_file' in tls ? { ...tls, client_ca_file } : tls) },
  };
  const [sink, context] = [collector(), testContext()];
  const receiver =
    listener === 'envoy_als'
      ? envoy_als.create(envoy_als.config.parse({ ...own, ...settings }), context)
      : otlp.create(otlp.config.parse({ [listener.slice(5)]: own, ...settings }), context);
  await receiver.start(sink.deliver);
  open.push(() => receiver.stop());
  const refused = (reason: string): number =>
    context.metrics.read('meshlog_receiver_connections_refused_total', {
      receiver: 'test',
      reason,
    }) ?? 0;
  return { port: portOf(receiver.status?.()), context, sink, folder, refused };
}

/** Connects; undefined: it was refused, or ended at once. */
async function shaken(port: number, options: object): Promise<TLSSocket | undefined> {
  const base = { port, host: '127.0.0.1', servername: 'localhost', ca: ca.cert };
  const socket = connectTls({ ...base, ALPNProtocols: ['h2'], ...options });
  socket.on('error', () => undefined);
  open.push(() => socket.destroy());
  const gone = closed(socket).then(() => false);
  const shook = new Promise<boolean>((resolve) => {
    socket.once('secureConnect', () => resolve(true));
  });
  const first = await Promise.race([shook, gone]);
  // With TLS 1.3 a refusal comes after the client's handshake.
  socket.resume();
  await Promise.race([gone, sleep(150)]);
  return first && !socket.destroyed ? socket : undefined;
}

for (const listener of listeners) {
  describe(`${listener} over TLS`, () => {
    test('keeps to its least and its greatest version', async () => {
      for (const [tls, version, isIn] of [
        [{}, 'TLSv1.2', true],
        [{}, 'TLSv1.1', false],
        [{ min_version: '1.3' }, 'TLSv1.2', false],
        [{ min_version: '1.3' }, 'TLSv1.3', true],
        [{ max_version: '1.2' }, 'TLSv1.3', false],
      ] as const) {
        const { port, refused } = await secured(listener, tls);
        const only = version as SecureVersion;
        // Level 0 lets this client offer what no sane one does any more.
        const ciphers = 'DEFAULT:@SECLEVEL=0';
        const socket = await shaken(port, { minVersion: only, maxVersion: only, ciphers });
        expect([version, socket?.getProtocol() ?? 'refused']).toEqual([
          version,
          isIn ? version : 'refused',
        ]);
        expect(refused('tls')).toBe(isIn ? 0 : 1);
      }
    });

    test('lets in whom it knows, and of those whom its list names', async () => {
      const { port, refused, context } = await secured(
        listener,
        { client_ca_file: '' },
        { allowed_spiffe_ids: ['spiffe://mesh/ns/shop/*'] },
      );
      const as = (id: string): object => ca.issue([`URI:${id}`]);
      expect(await shaken(port, as('spiffe://mesh/ns/shop/sa/web'))).toBeDefined();
      expect(await shaken(port, as('spiffe://mesh/ns/other/sa/web'))).toBeUndefined();
      expect(refused('identity')).toBe(1);
      expect(context.logged.join()).toContain('refuses spiffe://mesh/ns/other/sa/web');
      expect(await shaken(port, {})).toBeUndefined();
      expect(
        await shaken(port, authority('stranger').issue(['URI:spiffe://mesh/ns/shop/x'])),
      ).toBeUndefined();
      expect(refused('tls')).toBe(2);
    });

    test('shows a new certificate to new peers, and drops nobody', async () => {
      const { port, folder, context } = await secured(listener, { reload_interval: '20ms' });
      const old = await shaken(port, {});
      await folder.put('server', ca.issue(names, 'second'));
      await eventually(() =>
        context.logged.some((line) => line.includes('uses the new certificate')),
      );
      const next = await shaken(port, {});
      expect(next?.getPeerCertificate().subject['CN']).toBe('second');
      expect(old?.getPeerCertificate().subject['CN']).toBe('first');
      expect(old?.destroyed).toBe(false);
    });
  });
}

test('receivers listen on this machine only, unless they are told otherwise', () => {
  const here = { kind: 'tcp', host: '127.0.0.1' };
  expect(envoy_als.config.parse({}).endpoint).toMatchObject({ ...here, port: 9977 });
  const { grpc: grpcConfig, http } = otlp.config.parse({ grpc: {}, http: {} });
  expect(grpcConfig?.endpoint).toMatchObject({ ...here, port: 4317 });
  expect(http?.endpoint).toMatchObject({ ...here, port: 4318 });
});

test('otlp moves a busy gRPC client to a new connection when its own is old, and nothing is lost', async () => {
  const sink = collector();
  const keepalive = { max_connection_age: '100ms', max_connection_age_grace: '2s' };
  const { port, receiver } = await listeningGrpc('otlp', sink.deliver, { keepalive });
  open.push(() => receiver.stop());
  const client = new grpc.Client(`localhost:${port}`, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  open.push(() => client.close());
  const same = (bytes: Buffer): Buffer => bytes;
  const codes = new Set<number>();
  let sent = 0;
  const endMs = performance.now() + 1200;
  const busy = Array.from({ length: 8 }, async () => {
    while (performance.now() < endMs) {
      const message = messageOf('otlp', `record ${sent++}`);
      await new Promise<void>((resolve) => {
        client.makeUnaryRequest(pathOf('otlp'), same, same, message, (error) => {
          codes.add(error?.code ?? 0);
          resolve();
        });
      });
    }
  });
  await Promise.all(busy);
  expect([...codes]).toEqual([0]);
  expect(new Set(sink.lines).size).toBe(sent);
  expect(sink.lines).toHaveLength(sent);
});

for (const kind of kinds) {
  test(`${kind} tells a peer to go when its connection is old, and takes what is under way`, async () => {
    const sink = collector();
    const keepalive = { max_connection_age: '150ms', max_connection_age_grace: '5s' };
    const { port, receiver } = await listeningGrpc(kind, sink.deliver, { keepalive });
    open.push(() => receiver.stop());
    const old = new RawClient(port);
    open.push(() => old.close());
    const goaway = once(old.session, 'goaway');
    sink.pause();
    const under = old.good(kind, '/under way');
    if (kind === 'otlp') await eventually(() => sink.waiting === 1);
    expect((await goaway)[0]).toBe(0);
    sink.resume();
    expect((await under).status).toBe(0);
    const next = new RawClient(port);
    open.push(() => next.close());
    expect((await next.call(pathOf(kind), framed(messageOf(kind, '/next')))).status).toBe(0);
    await sink.until(2);
  });
}

for (const kind of kinds) {
  test(`${kind} tells whoever watches its health that it stops`, async () => {
    const { port, receiver } = await listeningGrpc(kind, collector().deliver, {}, testContext());
    const client = new grpc.Client(`localhost:${port}`, grpc.credentials.createInsecure());
    open.push(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    const service = pathOf(kind).split('/')[1] ?? '';
    const request = Buffer.from([0x0a, service.length, ...Buffer.from(service)]);
    const watch = client.makeServerStreamRequest(
      '/grpc.health.v1.Health/Watch',
      same,
      same,
      request,
    );
    const seen: (number | undefined)[] = [];
    watch.on('data', (bytes: Buffer) => seen.push(bytes[1]));
    watch.on('error', () => undefined);
    const ended = new Promise<number>((resolve) => {
      watch.on('status', ({ code }) => resolve(code));
    });
    await eventually(() => seen.length === 1);
    const startMs = performance.now();
    await receiver.stop();
    expect(performance.now() - startMs).toBeLessThan(3000);
    expect([seen, await ended]).toEqual([[1, 2], grpc.status.UNAVAILABLE]);
  });
}
