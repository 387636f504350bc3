// Ends of connections for tests.

import { once } from 'node:events';
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';

/** Listens on a free port of this machine and returns it. */
export async function listening(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** An open connection to a port of this machine. Errors afterwards are ignored: look at `closed`. */
export async function connected(to: number | NetConnectOpts): Promise<Socket> {
  const socket = connect(typeof to === 'number' ? { port: to, host: '127.0.0.1' } : to);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  socket.resume();
  return socket;
}

/** Resolves when the socket is closed, whoever did it. */
export async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** The port in the status line of a receiver that listens on port 0. */
export function portOf(status: string | undefined): number {
  return Number(/:(\d+)/.exec(status ?? '')?.[1]);
}

export type Sink = {
  readonly port: number;
  readonly server: Server;
  /** All bytes received, per connection. */
  readonly received: Buffer[][];
  readonly sockets: Set<Socket>;
  /** Complete lines of all connections, in the order of connecting. */
  lines(): string[];
  /** Resolves when so many complete lines have come. */
  until(lines: number, timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
};

/** A server that keeps what it receives. `onSocket` may do something else with a connection: true: it did. */
export async function sink(
  options: { port?: number; onSocket?: (socket: Socket, index: number) => boolean } = {},
): Promise<Sink> {
  const received: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    if (options.onSocket?.(socket, received.length)) {
      received.push([]);
      return;
    }
    const chunks: Buffer[] = [];
    received.push(chunks);
    socket.on('data', (chunk) => chunks.push(chunk));
  });
  const port = await listening(server, options.port);
  const lines = (): string[] =>
    received.flatMap((chunks) => Buffer.concat(chunks).toString().split('\n').slice(0, -1));
  return {
    port,
    server,
    received,
    sockets,
    lines,
    until: async (count, timeoutMs = 10_000) => {
      await eventually(() => lines().length >= count, timeoutMs);
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Polls until something holds; rejects when it does not in time. */
export async function eventually(holds: () => boolean, timeoutMs = 10_000): Promise<void> {
  const startMs = performance.now();
  while (!holds()) {
    if (performance.now() - startMs > timeoutMs) throw new Error(`not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
