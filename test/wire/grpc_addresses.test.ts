// A name with several addresses.

import type { Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import type { GrpcClient } from '../../src/wire/grpc_client.ts';
import { grpcPrefixBytes } from '../../src/wire/grpc_unary.ts';
import { grpcCalling } from '../support/grpc_calling.ts';
import { rawServer, readFrames, success } from '../support/raw_grpc_peer.ts';
import { endStream, frameType, settingsFrame } from '../support/raw_http2.ts';
import { listening } from '../support/sockets.ts';

/** What the name `peers.test` stands for. */
const addresses = vi.hoisted((): string[] => []);
vi.mock('node:dns/promises', () => ({
  lookup: async () => addresses.map((address) => ({ address, family: 4 })),
}));

const open: (() => unknown)[] = [];
afterEach(() => {
  for (const close of open.splice(0).reverse()) close();
});

/** The first `silent` of its connections take everything and say nothing. */
type Peer = { connections: number; calls: number; silent: number };

/** The same port of 127.0.0.1 and of 127.0.0.2. */
async function peers(): Promise<{ port: number; first: Peer; second: Peer }> {
  const made = [1, 2].map(() => ({ connections: 0, calls: 0, silent: 0 }));
  const servers = made.map((peer) =>
    rawServer((socket: Socket) => {
      const number = ++peer.connections;
      socket.write(settingsFrame([]));
      readFrames(socket, ({ type, flags, stream }) => {
        if (type !== frameType.data || !(flags & endStream)) return;
        peer.calls++;
        if (number > peer.silent) socket.write(success(stream));
      });
    }),
  );
  for (const { close } of servers) open.push(close);
  const port = await listening(servers[0]!.server);
  await new Promise<void>((done) => servers[1]!.server.listen(port, '127.0.0.2', done));
  return { port, first: made[0]!, second: made[1]! };
}

function client(port: number): GrpcClient {
  const made = grpcCalling({ kind: 'tcp', host: 'peers.test', port });
  open.push(() => made.close());
  return made;
}

const message = (): Buffer => Buffer.alloc(grpcPrefixBytes + 1);

test('grpc_addresses: a connection that has gone silent is left although the others answer', async () => {
  addresses.splice(0, addresses.length, '127.0.0.1', '127.0.0.2');
  const { port, first, second } = await peers();
  const one = client(port);
  while (first.calls === 0 || second.calls === 0) await one.call('/a/b', message());
  second.silent = 1;
  const codes: number[] = [];
  for (let i = 0; i < 8; i++) {
    codes.push((await one.call('/a/b', message(), AbortSignal.timeout(300))).code);
  }
  expect(codes.filter((code) => code !== 0)).toEqual([1, 1]);
  expect(codes.slice(-4)).toEqual([0, 0, 0, 0]);
  const before = second.calls;
  for (let i = 0; i < 4; i++) await one.call('/a/b', message());
  expect(second).toMatchObject({ connections: 2, calls: before + 2 });
});

test('grpc_addresses: one that is named twice is connected to once', async () => {
  addresses.splice(0, addresses.length, '127.0.0.1', '127.0.0.1');
  const { port, first } = await peers();
  const one = client(port);
  for (let i = 0; i < 4; i++) expect((await one.call('/a/b', message())).code).toBe(0);
  expect(first).toMatchObject({ connections: 1, calls: 4 });
});
