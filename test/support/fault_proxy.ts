// A TCP proxy that misbehaves on demand: delay, rate, half-close, reset, black hole.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { listening } from './sockets.ts';

export type Faults = {
  /** Every chunk waits so long. */
  delayMs: number;
  /** Bytes a second and direction; 0: no limit. */
  bytesPerSecond: number;
  /** Nothing goes through any more, and nobody is told. */
  blackHole: boolean;
};

export type FaultProxy = {
  readonly port: number;
  /** May be changed at any time. */
  readonly faults: Faults;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Ends our sending side towards every client, and goes on reading. */
  halfClose(): void;
  /** Resets every connection, on both sides. */
  reset(): void;
  close(): Promise<void>;
};

/** A proxy in front of a port of this machine. */
export async function faultProxy(targetPort: number): Promise<FaultProxy> {
  const faults: Faults = { delayMs: 0, bytesPerSecond: 0, blackHole: false };
  const clients = new Set<Socket>();
  const all = new Set<Socket>();
  let accepted = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    accepted++;
    const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    clients.add(client);
    for (const socket of [client, target]) {
      all.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        all.delete(socket);
        clients.delete(socket);
      });
    }
    void forward(client, target, faults);
    void forward(target, client, faults);
  });
  const port = await listening(server);
  return {
    port,
    faults,
    get accepted() {
      return accepted;
    },
    halfClose: () => {
      for (const client of clients) client.end();
    },
    reset: () => {
      for (const socket of all) socket.resetAndDestroy();
    },
    close: async () => {
      for (const socket of all) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function forward(from: Socket, to: Socket, faults: Faults): Promise<void> {
  try {
    for await (const chunk of from) {
      await pass(chunk as Buffer, to, faults);
    }
    if (!faults.blackHole) to.end();
  } catch {
    if (!faults.blackHole) to.destroy();
  }
}

async function pass(chunk: Buffer, to: Socket, faults: Faults): Promise<void> {
  if (faults.delayMs > 0) await wait(faults.delayMs);
  for (let at = 0; at < chunk.length; ) {
    if (faults.blackHole) await new Promise(() => undefined);
    const rate = faults.bytesPerSecond;
    // A tenth of a second's worth at a time.
    const piece = chunk.subarray(at, rate === 0 ? chunk.length : at + Math.max(1, rate / 10));
    if (!to.write(piece)) await drained(to);
    at += piece.length;
    if (rate > 0) await wait((piece.length * 1000) / rate);
  }
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve);
    socket.once('close', resolve);
  });
}
