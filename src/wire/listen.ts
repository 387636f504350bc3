// Listening, on a port or a unix socket, with errors that say what is wrong.

import { chmodSync, existsSync } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { type Address, addressText } from './address.ts';
import { isKept, keptFor, takenOver } from './kept_ports.ts';

export type ListenOptions = {
  /** Permissions of a unix socket. */
  readonly socketMode?: number;
};

/** Longer than the default, so that many proxies can connect at once after a restart. */
const backlog = 4096;

/** Listens; rejects with `cannot listen on ...: ...`. A unix socket that nobody answers on is replaced. */
export async function listen(
  server: Server,
  address: Address,
  options: ListenOptions = {},
): Promise<void> {
  try {
    if (address.kind === 'unix' && !isKept(addressText(address))) await removeStale(address.path);
    await listening(server, address, options.socketMode ?? 0o600);
  } catch (error) {
    throw new Error(`cannot listen on ${addressText(address)}: ${reason(error)}`, { cause: error });
  }
}

/** Unix sockets, and ports that were asked for by number, by server: another one may go on with them. */
const asked = new WeakMap<Server, string>();

/** Stops accepting. Connections live on; resolves at once. */
export function stopListening(server: Server): void {
  if (!server.listening) return;
  const address = asked.get(server);
  // A unix socket whose name somebody has removed is nowhere: it is made anew.
  const path = server.address();
  const isNowhere = typeof path === 'string' && !existsSync(path);
  if (address === undefined || isNowhere || !keptFor(address, server)) server.close();
}

/** The address that was really bound: port 0 becomes the port that the system chose. */
export function boundAddress(server: Server, asked: Address): Address {
  const bound = server.address();
  if (asked.kind === 'unix' || bound === null || typeof bound === 'string') return asked;
  return { kind: 'tcp', host: asked.host, port: bound.port };
}

function listening(server: Server, address: Address, socketMode: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const done = (): void => {
      server.off('error', reject);
      resolve();
    };
    const text = addressText(address);
    if (address.kind === 'unix' || address.port !== 0) asked.set(server, text);
    if (takenOver(text, server, done)) {
      if (address.kind === 'unix') chmodSync(address.path, socketMode);
      return;
    }
    if (address.kind === 'tcp') {
      server.listen({ host: address.host, port: address.port, backlog }, done);
      return;
    }
    // The socket is bound inside `listen`, so that at no moment anybody else can open it.
    const before = process.umask(0o777 & ~socketMode);
    try {
      server.listen({ path: address.path, backlog }, done);
    } finally {
      process.umask(before);
    }
  });
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error('a file that is no socket is in the way');
  if (await answers(path)) throw new Error('another process listens there');
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Only a refusal proves that nobody listens; a full backlog or missing permission does not.
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'permission denied',
  ENOENT: 'no such directory',
  ENOTFOUND: 'the host name is not known',
};

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  const words = code === undefined ? undefined : reasons[code];
  return words ?? (error instanceof Error ? error.message : String(error));
}
