// The socket between the daemon and its command line: net-ipc on a unix socket that only this user can open. net-ipc
// 2.2.2 takes over other daemons' sockets, never settles when it cannot listen, dies of two malformed messages, and
// shares its queues between connections; this subclass closes each of these.

import { lstatSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { Client, type Connection, Server } from 'net-ipc';

const connectionsMax = 16;
const messageBytesMax = 1 << 20;

/** What net-ipc keeps per process and has to be per connection. */
type Insides = {
  connection: Socket | null;
  _drainQueue: { resolve: () => void; reject: (error: Error) => void }[];
  _requests: Record<string, { timer?: NodeJS.Timeout; reject: (error: Error) => void }>;
  _drain: () => void;
};

class GuardedServer extends Server {
  // net-ipc throws inside 'readable' handlers on bytes that are not its own: the peer goes, the process stays.
  _onconnection(socket: Socket): void {
    const on = socket.on.bind(socket);
    socket.on = ((event: string, listener: (...args: unknown[]) => void) =>
      on(event, event === 'readable' ? guarded(socket, listener) : listener)) as typeof socket.on;
    const inherited = Server.prototype as unknown as { _onconnection(socket: Socket): void };
    inherited._onconnection.call(this, socket);
  }

  override emit(event: string, ...args: unknown[]): boolean {
    if (event === 'connect') isolate(args[0] as Insides);
    if (event === 'error' && this.listenerCount('error') === 0) return false;
    return super.emit(event, ...args);
  }
}

function guarded(socket: Socket, listener: (...args: unknown[]) => void) {
  return (...args: unknown[]): void => {
    try {
      if (socket.readableLength > messageBytesMax) throw new Error('message is too long');
      listener(...args);
    } catch {
      socket.destroy();
    }
  };
}

function isolate(connection: Insides): void {
  const socket = connection.connection;
  connection._drainQueue = [];
  connection._requests = {};
  connection._drain = () => {
    for (const waiting of connection._drainQueue.splice(0)) waiting.resolve();
  };
  socket?.removeAllListeners('drain');
  socket?.on('drain', () => connection._drain());
  socket?.once('close', () => {
    const gone = new Error('the connection was closed');
    for (const waiting of connection._drainQueue.splice(0)) waiting.reject(gone);
    for (const request of Object.values(connection._requests)) {
      clearTimeout(request.timer);
      request.reject(gone);
    }
    connection._requests = {};
  });
}

/** Answers requests on a unix socket of mode 0600. */
export class ControlServer {
  readonly path: string;
  readonly #server: GuardedServer;

  private constructor(path: string, server: GuardedServer) {
    this.path = path;
    this.#server = server;
  }

  /** Rejects when another process answers at `path`, when something else is there, or when it cannot be made. */
  static async open(
    path: string,
    handle: (request: unknown) => Promise<unknown>,
  ): Promise<ControlServer> {
    await freed(path);
    await mkdir(dirname(path), { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    const server = new GuardedServer({ path, retries: 0, max: connectionsMax });
    server.on('request', (request: unknown, respond: (answer: unknown) => Promise<unknown>) => {
      handle(request)
        .then((answer) => respond({ answer }))
        .catch((error: unknown) => respond({ error: String(error) }))
        // The asker has gone: there is nobody to tell.
        .catch(() => undefined);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      // The socket is bound inside `start`: nothing else of the process makes a file meanwhile.
      const umask = process.umask(0o177);
      try {
        server.start().then(() => resolve(), reject);
      } finally {
        process.umask(umask);
      }
    });
    server.removeAllListeners('error');
    server.on('error', () => undefined);
    await chmod(path, 0o600);
    return new ControlServer(path, server);
  }

  async close(): Promise<void> {
    for (const connection of [...this.#server.connections] as Connection[]) connection.destroy();
    await this.#server.close();
  }
}

/** Makes sure that a path can be listened on: a socket that nobody answers at is left over and may be replaced. */
async function freed(path: string): Promise<void> {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  if (entry === undefined) return;
  if (!entry.isSocket()) throw new Error(`${path} exists and is not a socket`);
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (answered) throw new Error(`another meshlog listens at ${path}`);
}

/** Asks the daemon that listens at `path`. Rejects with its error, or when nobody answers in time. */
export async function ask(path: string, request: unknown, timeoutMs: number): Promise<unknown> {
  const client = new Client({ path, reconnect: false, retries: 0 });
  // net-ipc's connect and request may stay pending for ever when the other end is not there.
  const failed = new Promise<never>((_resolve, reject) => {
    client.on('error', (error: unknown) => reject(error));
    setTimeout(() => reject(new Error(`no answer from ${path}`)), timeoutMs).unref();
  });
  failed.catch(() => undefined);
  try {
    await Promise.race([client.connect(), failed]);
    const reply = await Promise.race([client.request(request, timeoutMs), failed]);
    const { answer, error } = reply as { answer?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return answer;
  } finally {
    client.destroy();
  }
}
