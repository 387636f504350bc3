// A daemon as a process of its own before peers that send anything: it lives, its memory is bounded, good peers go on.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Kind, kinds, messageOf, pathOf, RawClient } from '../support/grpc_peers.ts';
import {
  dataFrame,
  endStream,
  frame,
  framed,
  frameType,
  greeting,
  headersFrame,
} from '../support/raw_http2.ts';
import { eventually } from '../support/sockets.ts';
import { DaemonProcess, newFolder, removeFolder } from './daemon.ts';

let folder = '';
let daemon: DaemonProcess;
let ports: Record<Kind | 'http' | 'tcp', number>;
const open: (() => void)[] = [];

beforeEach(async () => {
  folder = newFolder();
  daemon = await DaemonProcess.started(folder, config);
  const [grpc, http] = [...daemon.said.matchAll(/(?:grpc|http) 127\.0\.0\.1:(\d+)/g)];
  ports = {
    envoy_als: daemon.port('envoy_als'),
    otlp: Number(grpc?.[1]),
    http: Number(http?.[1]),
    tcp: daemon.port('tcp'),
  };
});

afterEach(async () => {
  for (const close of open.splice(0)) close();
  await daemon.stop('SIGKILL');
  removeFolder(folder);
});

const config = `
receivers:
  envoy_als: { endpoint: 127.0.0.1:0 }
  otlp: { grpc: { endpoint: 127.0.0.1:0 }, http: { endpoint: 127.0.0.1:0 } }
  tcp: { endpoint: 127.0.0.1:0 }
exporters:
  file: { path: out.log }
service:
  admin: { endpoint: 127.0.0.1:0 }
  pipelines: { logs: { receivers: [envoy_als, otlp, tcp], exporters: [file] } }
`;

function client(port: number): RawClient {
  const made = new RawClient(port);
  open.push(() => made.close());
  return made;
}

async function post(text: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${ports.http}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-protobuf' },
    body: new Uint8Array(messageOf('otlp', text)),
  });
  return answer.status;
}

/** Numbers that follow from the seed (mulberry32), from 0 to below a bound. */
function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

/** What a good peer of each port might say. */
function conversations(): [port: number, bytes: Buffer][] {
  const calls = (path: string, body: Buffer): Buffer =>
    Buffer.concat([
      greeting,
      headersFrame(1, path),
      dataFrame(1, body.subarray(0, 20)),
      frame(frameType.ping, { payload: Buffer.alloc(8) }),
      dataFrame(1, body.subarray(20), endStream),
      frame(frameType.windowUpdate, { payload: Buffer.from([0, 1, 0, 0]) }),
      headersFrame(3, path, { 'grpc-encoding': 'gzip' }),
      dataFrame(3, framed(gzipSync(body.subarray(5)), 1), endStream),
      frame(frameType.goaway, { payload: Buffer.alloc(8) }),
    ]);
  const grpc = kinds.map((kind): [number, Buffer] => {
    return [ports[kind], calls(pathOf(kind), framed(messageOf(kind, '/mutated')))];
  });
  const body = messageOf('otlp', 'mutated');
  const head = `POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n`;
  const http1 = Buffer.concat([
    Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`),
    body,
    Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`),
    body,
    Buffer.from('\r\n0\r\n\r\n'),
  ]);
  const http2 = calls('/v1/logs', body);
  return [...grpc, [ports.http, http1], [ports.http, http2], [ports.tcp, Buffer.from('a\nb\n')]];
}

/** Something like the conversation: flipped, cut, doubled, mixed with anything. */
function mutated(bytes: Buffer, random: (bound: number) => number): Buffer {
  if (random(12) === 0) return Buffer.from(Array.from({ length: random(2000) }, () => random(256)));
  let result = Buffer.from(bytes);
  for (let times = 1 + random(5); times > 0; times--) {
    const at = random(result.length);
    const end = at + random(Math.min(60, result.length - at) + 1);
    switch (random(5)) {
      case 0:
        result[at] = random(256);
        break;
      case 1:
        result = Buffer.concat([result.subarray(0, at), result.subarray(end)]);
        break;
      case 2:
        result = Buffer.concat([result.subarray(0, end), result.subarray(at)]);
        break;
      case 3: {
        const junk = Buffer.from(Array.from({ length: random(30) }, () => random(256)));
        result = Buffer.concat([result.subarray(0, at), junk, result.subarray(at)]);
        break;
      }
      default:
        result = result.subarray(0, at + 1);
    }
  }
  return result;
}

/** Says something, reads for a moment, and goes without a word. */
async function say(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(bytes);
  const closed = once(socket, 'close').catch(() => undefined);
  await Promise.race([closed, sleep(40)]);
  socket.destroy();
}

test('nothing that peers may say ends the daemon, or disturbs the others', async () => {
  const seed = Date.now() & 0xffff;
  const random = numbers(seed);
  const all = conversations();
  const good = { envoy_als: client(ports.envoy_als), otlp: client(ports.otlp) };
  let said = 0;
  let rounds = 0;
  const endMs = performance.now() + 3000;
  while (performance.now() < endMs) {
    await Promise.all(
      Array.from({ length: 30 }, () => {
        const [port, bytes] = all[random(all.length)] ?? [0, Buffer.alloc(0)];
        said++;
        return say(port, mutated(bytes, random));
      }),
    );
    const number = rounds++;
    for (const kind of kinds) {
      const answer = await good[kind].good(kind, `/good-${kind}-${number}.`);
      expect([kind, answer.status, `seed ${seed}`]).toEqual([kind, 0, `seed ${seed}`]);
    }
    expect(await post(`/good-http-${number}.`)).toBe(200);
  }
  expect(said).toBeGreaterThan(100);
  expect(
    await daemon.metric('meshlog_receiver_connections_refused_total', 'protocol'),
  ).toBeGreaterThan(0);
  const written = (): string[] =>
    readFileSync(join(folder, 'out.log'), 'utf8').match(/\/good-\w+-\d+\./g) ?? [];
  const expected = ['envoy_als', 'otlp', 'http'].flatMap((sender) =>
    Array.from({ length: rounds }, (_, number) => `/good-${sender}-${number}.`),
  );
  await eventually(() => written().length >= expected.length, 5000);
  expect(written().sort()).toEqual(expected.sort());
  expect(await daemon.stop()).toBe(0);
  expect(daemon.said).not.toMatch(/uncaught|TypeError|ERR_/i);
}, 30_000);

test('five thousand idle streams on many connections cost less than 15 KiB each, and disturb nobody', async () => {
  const good = { envoy_als: client(ports.envoy_als), otlp: client(ports.otlp) };
  for (const kind of kinds) expect((await good[kind].good(kind, '/before')).status).toBe(0);
  const beforeMib = daemon.memory.nowMib;
  for (const [kind, connections, streams] of [
    ['envoy_als', 10, 250],
    ['otlp', 20, 125],
  ] as const) {
    for (let i = 0; i < connections; i++) {
      const session = connectHttp2(`http://127.0.0.1:${ports[kind]}`);
      open.push(() => session.destroy());
      await once(session, 'remoteSettings');
      for (let k = 0; k < streams; k++) idleStream(session, pathOf(kind));
    }
  }
  while ((await daemon.metric('meshlog_receiver_streams')) < 2500) await sleep(20);
  await sleep(300);
  for (const kind of kinds) expect((await good[kind].good(kind, '/after')).status).toBe(0);
  const kibPerStream = ((daemon.memory.nowMib - beforeMib) * 1024) / 5000;
  expect(kibPerStream).toBeLessThan(15);
}, 30_000);

function idleStream(session: ClientHttp2Session, path: string): void {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
  session.request(headers, { endStream: false }).on('error', () => undefined);
}

test('bombs of a gigabyte in all take no memory', async () => {
  const good = { envoy_als: client(ports.envoy_als), otlp: client(ports.otlp) };
  for (const kind of kinds) expect((await good[kind].good(kind, '/before')).status).toBe(0);
  const beforeMib = daemon.memory.nowMib;
  for (const [encoding, compress] of [
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const) {
    const bomb = compress(Buffer.alloc(128 << 20));
    for (const kind of kinds) {
      const headers = { 'grpc-encoding': encoding };
      const bombs = [1, 2].map(() => good[kind].call(pathOf(kind), framed(bomb, 1), headers));
      expect((await Promise.all(bombs)).map(({ status }) => status)).toEqual([8, 8]);
    }
    const answer = await fetch(`http://127.0.0.1:${ports.http}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf', 'content-encoding': encoding },
      body: new Uint8Array(bomb),
    });
    expect(answer.status).toBe(400);
  }
  // The limit of HTTP is 20 MiB, and what is thrown away waits for the collector.
  expect(daemon.memory.peakMib - beforeMib).toBeLessThan(100);
  expect(await daemon.metric('meshlog_receiver_requests_refused_total', 'too_large')).toBe(10);
  for (const kind of kinds) expect((await good[kind].good(kind, '/after')).status).toBe(0);
}, 30_000);
