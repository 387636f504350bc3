// A port goes from one server to another, with someone who connected in between, for every kind of server that we have.

import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer as http, request } from 'node:http';
import {
  createServer as http2,
  connect as http2Connect,
  createSecureServer as http2s,
} from 'node:http2';
import { createServer as https, request as secureRequest } from 'node:https';
import { connect, createServer as net, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as tls, connect as tlsConnect } from 'node:tls';
import { expect, test } from 'vitest';
import { keepPorts } from '../../src/wire/kept_ports.ts';
import { listen, stopListening } from '../../src/wire/listen.ts';
import { connected, listening } from '../support/sockets.ts';
import { authority } from '../support/tls.ts';

const certificate = authority().issue(['IP:127.0.0.1']);
const ignore = (): void => undefined;
const trusting = { rejectUnauthorized: false };

/** How each kind of server says its name, and how a client gets to hear it. */
const kinds: Record<
  string,
  { server(name: string): Server; client(port: number): Promise<string> }
> = {
  net: {
    server: (name) =>
      net((socket) => {
        socket.on('error', ignore);
        socket.once('data', () => socket.end(name));
      }),
    client: (port) => heard(connect(port, '127.0.0.1')),
  },
  'net that begins paused': {
    server: (name) =>
      net({ pauseOnConnect: true }, (socket) => {
        expect(socket.isPaused()).toBe(true);
        socket.on('error', ignore);
        socket.once('data', () => socket.end(name));
        setTimeout(() => socket.resume(), 20);
      }),
    client: (port) => heard(connect(port, '127.0.0.1')),
  },
  tls: {
    server: (name) => tls(certificate, (socket) => socket.once('data', () => socket.end(name))),
    client: (port) => heard(tlsConnect({ port, host: '127.0.0.1', ...trusting })),
  },
  http: {
    server: (name) => http((_, response) => response.end(name)),
    client: (port) => answered(request({ port, host: '127.0.0.1', agent: false })),
  },
  https: {
    server: (name) => https(certificate, (_, response) => response.end(name)),
    client: (port) =>
      answered(secureRequest({ port, host: '127.0.0.1', agent: false, ...trusting })),
  },
  http2: {
    server: (name) => http2((_, response) => response.end(name)) as unknown as Server,
    client: (port) => streamed(http2Connect(`http://127.0.0.1:${port}`)),
  },
  'http2 with TLS': {
    server: (name) => http2s(certificate, (_, response) => response.end(name)) as unknown as Server,
    client: (port) => streamed(http2Connect(`https://127.0.0.1:${port}`, trusting)),
  },
};

function heard(socket: ReturnType<typeof connect>): Promise<string> {
  socket.write('who is there?');
  return textOf(socket);
}

function answered(asked: ReturnType<typeof request>): Promise<string> {
  return new Promise((resolve, reject) => {
    asked.on('response', (response) => resolve(textOf(response)));
    asked.on('error', reject);
    asked.end();
  });
}

async function streamed(session: ReturnType<typeof http2Connect>): Promise<string> {
  session.on('error', ignore);
  const text = await textOf(session.request({ ':path': '/' }).end());
  session.destroy();
  return text;
}

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function freePort(): Promise<number> {
  const server = net();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}

for (const [kind, { server, client }] of Object.entries(kinds)) {
  test(`a port that is kept goes over to the next listener with those who wait: ${kind}`, async () => {
    const address = { kind: 'tcp', host: '127.0.0.1', port: await freePort() } as const;
    const [first, second] = [server('first'), server('second')];
    await listen(first, address);
    expect(await client(address.port)).toBe('first');
    const closePorts = keepPorts();
    stopListening(first);
    expect(first.listening).toBe(false);
    const waiting = Array.from({ length: 3 }, () => client(address.port));
    // One that is gone again must not disturb anybody.
    (await connected(address.port)).resetAndDestroy();
    await new Promise((done) => setTimeout(done, 30));
    await listen(second, address);
    closePorts();
    expect(await Promise.all(waiting)).toEqual(['second', 'second', 'second']);
    expect(await client(address.port)).toBe('second');
    await new Promise((done) => second.close(done));
    await expect(client(address.port)).rejects.toThrow('ECONNREFUSED');
  });
}

test('a port that is kept and not wanted is closed, and who waits there is sent away', async () => {
  const address = { kind: 'tcp', host: '127.0.0.1', port: await freePort() } as const;
  const server = net();
  await listen(server, address);
  const closePorts = keepPorts();
  stopListening(server);
  const waiting = await connected(address.port);
  const closed = new Promise((done) => waiting.once('close', done));
  closePorts();
  await closed;
  await expect(connected(address.port)).rejects.toThrow('ECONNREFUSED');
});

test('a port is not kept while nobody asks for it', async () => {
  const address = { kind: 'tcp', host: '127.0.0.1', port: await freePort() } as const;
  const server = net();
  await listen(server, address);
  stopListening(server);
  await expect(connected(address.port)).rejects.toThrow('ECONNREFUSED');
});

test('a unix socket that is kept goes over like a port, stays where it is, and is removed at the end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-kept-'));
  const path = join(folder, 'x.sock');
  const address = { kind: 'unix', path } as const;
  const named = (name: string): Server =>
    net({ pauseOnConnect: true }, (socket) => {
      socket.on('error', ignore);
      socket.end(name);
      socket.resume();
    });
  const client = (): Promise<string> => heard(connect(path));
  try {
    const servers = ['first', 'second', 'third'].map(named);
    const [first, second, third] = servers as [Server, Server, Server];
    await listen(first, address, { socketMode: 0o600 });
    expect(await client()).toBe('first');
    for (const [former, next, name, mode] of [
      [first, second, 'second', 0o660],
      [second, third, 'third', 0o600],
    ] as const) {
      const { ino } = statSync(path);
      const closePorts = keepPorts();
      stopListening(former);
      const waiting = Array.from({ length: 3 }, client);
      await new Promise((done) => setTimeout(done, 30));
      await listen(next, address, { socketMode: mode });
      closePorts();
      expect(await Promise.all(waiting)).toEqual([name, name, name]);
      expect(await client()).toBe(name);
      expect(statSync(path)).toMatchObject({ ino, mode: 0o140000 | mode });
    }
    // A name that somebody has removed is made anew.
    rmSync(path);
    const closePorts = keepPorts();
    stopListening(third);
    const last = named('last');
    await listen(last, address);
    closePorts();
    expect(await client()).toBe('last');
    await new Promise((done) => last.close(done));
    expect(existsSync(path)).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
