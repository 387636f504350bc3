import { once } from 'node:events';
import { connect as connectHttp2, createSecureServer } from 'node:http2';
import type { Server } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { CertificateSource } from '../../src/wire/certificates.ts';
import {
  clientOptions,
  keepFresh,
  type ServerTls,
  serverCertificates,
  serverOptions,
} from '../../src/wire/tls.ts';
import { testContext } from '../support/collect.ts';
import { listening } from '../support/sockets.ts';
import { authority, certificateFolder } from '../support/tls.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const root = authority();
const names = ['DNS:localhost', 'IP:127.0.0.1'];

async function setup(clientCa = false) {
  const folder = await certificateFolder();
  const files = await folder.put('server', root.issue(names, 'first'));
  const client_ca_file = await folder.write('ca.crt', root.cert);
  const tls: ServerTls = {
    ...files,
    ...(clientCa ? { client_ca_file } : {}),
    min_version: '1.2',
    reload_interval: 0,
  };
  const { log, logged } = testContext();
  const source = await serverCertificates(tls, { baseDirectory: folder.directory, log });
  closers.push(() => source.close());
  return { folder, tls, source, logged };
}

/** The common name that a server shows to a new connection. */
async function shown(port: number, options = {}): Promise<string> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: root.cert,
    servername: 'localhost',
    ...options,
  });
  await once(socket, 'secureConnect');
  const name = socket.getPeerCertificate().subject['CN'];
  socket.destroy();
  return String(name);
}

function ends(server: Server): void {
  closers.push(() => server.close());
}

describe('certificates are read again', () => {
  test('by a TLS server, while its connections live on', async () => {
    const { folder, tls, source, logged } = await setup();
    const server = createServer(serverOptions(tls, source), (socket) => socket.pipe(socket));
    server.on('tlsClientError', () => undefined);
    keepFresh(server, tls, source);
    const port = await listening(server);
    ends(server);
    const old = connect({ port, host: '127.0.0.1', ca: root.cert, servername: 'localhost' });
    await once(old, 'secureConnect');
    await folder.put('server', root.issue(names, 'second'));
    await source.refresh();
    expect(await shown(port)).toBe('second');
    old.write('still here');
    expect(String((await once(old, 'data'))[0])).toBe('still here');
    old.destroy();
    expect(logged).toEqual([`info: uses the new certificate from ${tls.cert_file}`]);
  });

  test('by an HTTP/2 server', async () => {
    const { folder, tls, source } = await setup();
    const server = createSecureServer(serverOptions(tls, source));
    keepFresh(server, tls, source);
    const port = await listening(server);
    ends(server);
    await folder.put('server', root.issue(names, 'second'));
    await source.refresh();
    const session = connectHttp2(`https://localhost:${port}`, { ca: root.cert });
    await once(session, 'connect');
    expect((session.socket as TLSSocket).getPeerCertificate().subject['CN']).toBe('second');
    session.destroy();
  });

  test('by a grpc-js server, which has them before its first connection', async () => {
    const { folder, source } = await setup(true);
    const client = root.issue(['URI:spiffe://mesh/a']);
    const server = new grpc.Server();
    const same = (bytes: Buffer): Buffer => bytes;
    server.addService(
      {
        echo: {
          path: '/test/echo',
          requestStream: false,
          responseStream: false,
          requestSerialize: same,
          requestDeserialize: same,
          responseSerialize: same,
          responseDeserialize: same,
        },
      },
      {
        echo: ((call, callback) => callback(null, call.request)) as grpc.handleUnaryCall<
          Buffer,
          Buffer
        >,
      },
    );
    const credentials = grpc.experimental.createCertificateProviderServerCredentials(
      source,
      source,
      true,
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    closers.push(() => server.forceShutdown());
    const own = { cert: client.cert, key: client.key, ALPNProtocols: ['h2'] };
    expect(await shown(port, own)).toBe('first');
    await folder.put('server', root.issue(names, 'second'));
    await source.refresh();
    expect(await shown(port, own)).toBe('second');
  });

  test('and a bad pair leaves the old one in use, said once', async () => {
    const { folder, tls, source, logged } = await setup();
    const server = createServer(serverOptions(tls, source));
    keepFresh(server, tls, source);
    const port = await listening(server);
    ends(server);
    await folder.write('server.crt', root.issue(names, 'without its key').cert);
    await source.refresh();
    await source.refresh();
    expect(await shown(port)).toBe('first');
    await folder.write('server.crt', 'garbage');
    await source.refresh();
    expect(await shown(port)).toBe('first');
    expect(logged.filter((line) => line.startsWith('warn: goes on with the old'))).toHaveLength(2);
    await folder.put('server', root.issue(names, 'third'));
    await source.refresh();
    expect(await shown(port)).toBe('third');
  });

  test('at intervals', async () => {
    const folder = await certificateFolder();
    const { cert_file, key_file } = await folder.put('server', root.issue(names, 'first'));
    const source = new CertificateSource({ cert: cert_file, key: key_file });
    await source.load();
    const second = root.issue(names, 'second');
    const found = new Promise<string>((resolve) =>
      source.subscribe(({ cert }) => resolve(cert.toString())),
    );
    source.watch(10);
    await folder.put('server', second);
    expect(await found).toBe(second.cert);
    source.close();
  });
});

test('certificates that cannot serve stop the start', async () => {
  const folder = await certificateFolder();
  const { log } = testContext();
  const good = await folder.put('a', root.issue(names));
  const other = await folder.put('b', root.issue(names));
  const start = (tls: Partial<ServerTls>) =>
    serverCertificates(
      { ...good, min_version: '1.2', reload_interval: 0, ...tls },
      { baseDirectory: folder.directory, log },
    );
  await expect(start({ cert_file: 'missing.crt' })).rejects.toThrow(
    /^cannot read .*: no such file$/,
  );
  await expect(start({ key_file: other.key_file })).rejects.toThrow(
    /^cannot use .*a\.crt with .*b\.key/,
  );
  const garbage = await folder.write('garbage', 'garbage');
  await expect(start({ client_ca_file: garbage })).rejects.toThrow(/garbage: it is not PEM$/);
});

describe('a TLS client', () => {
  async function serverWith(issued: { cert: string; key: string }): Promise<number> {
    const server = createServer(issued, (socket) => socket.resume());
    server.on('tlsClientError', () => undefined);
    ends(server);
    return listening(server);
  }
  const base = { insecure: false, insecure_skip_verify: false, min_version: '1.2' } as const;

  async function connects(port: number, tls: object, host = '127.0.0.1'): Promise<boolean> {
    const options = await clientOptions({ ...base, ...tls }, { baseDirectory: '/', host });
    const socket = connect({ ...options, port, host: '127.0.0.1' });
    const result = await Promise.race([
      once(socket, 'secureConnect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    return result;
  }

  test('accepts the name or the address of its endpoint and no other', async () => {
    const folder = await certificateFolder();
    const ca_file = await folder.write('ca.crt', root.cert);
    const port = await serverWith(root.issue(['DNS:logs.example', 'IP:127.0.0.1']));
    expect(await connects(port, { ca_file })).toBe(true);
    expect(await connects(port, { ca_file }, 'logs.example')).toBe(true);
    expect(await connects(port, { ca_file }, 'other.example')).toBe(false);
    expect(await connects(port, { ca_file }, '127.0.0.2')).toBe(false);
    expect(await connects(port, { ca_file, server_name_override: 'logs.example' }, 'x')).toBe(true);
    expect(await connects(port, { ca_file, server_name_override: '127.0.0.1' }, 'x')).toBe(true);
  });

  test('refuses an unknown authority unless told otherwise', async () => {
    const folder = await certificateFolder();
    const ca_file = await folder.write('ca.crt', authority('other').cert);
    const port = await serverWith(root.issue(names));
    expect(await connects(port, { ca_file })).toBe(false);
    expect(await connects(port, {})).toBe(false);
    expect(await connects(port, { insecure_skip_verify: true })).toBe(true);
  });
});
