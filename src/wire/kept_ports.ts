// Ports, and unix sockets, that stay open while their listeners change (reload). Nobody listens on them for a moment; whoever connects then
// is accepted and waits, unread, for the next listener on the same address.

import { createServer, type Server, type Socket } from 'node:net';

/** Peers that wait at one port; further ones wait in the kernel. */
const waitingMax = 1024;

/** By address, as `listen` was asked for it. */
const kept = new Map<string, KeptPort>();
let keepers = 0;

/** From now on ports that are given up are kept, until the returned function is called: then the rest is closed. */
export function keepPorts(): () => void {
  keepers++;
  let isOver = false;
  return () => {
    if (isOver) return;
    isOver = true;
    if (--keepers > 0) return;
    for (const port of kept.values()) port.close();
    kept.clear();
  };
}

/** Takes the listening socket away from a server. False: nothing is kept now, the server closes it itself. */
export function keptFor(address: string, server: Server): boolean {
  if (keepers === 0 || kept.has(address)) return false;
  kept.set(address, new KeptPort(server));
  return true;
}

/** Gives a kept socket to a server, and those who wait there. False: there is none. */
export function takenOver(address: string, server: Server, done: () => void): boolean {
  const port = kept.get(address);
  if (port === undefined) return false;
  kept.delete(address);
  port.handTo(server, done);
  return true;
}

class KeptPort {
  readonly #porter: Server;
  readonly #waiting = new Set<Socket>();

  constructor(former: Server) {
    const options = { pauseOnConnect: true, keepAlive: true, noDelay: true };
    this.#porter = createServer(options, (socket) => this.#seat(socket));
    this.#porter.maxConnections = waitingMax;
    pass(former, this.#porter);
  }

  #seat(socket: Socket): void {
    this.#waiting.add(socket);
    socket.on('error', ignore);
    socket.once('close', () => this.#waiting.delete(socket));
  }

  handTo(server: Server, done: () => void): void {
    pass(this.#porter, server, () => {
      done();
      for (const socket of this.#waiting) seatAt(server, socket);
      this.#waiting.clear();
    });
  }

  close(): void {
    this.#porter.close();
    for (const socket of this.#waiting) socket.destroy();
  }
}

const ignore = (): void => undefined;

/** Servers of every kind let connections be brought to them like this. */
function seatAt(server: Server & { pauseOnConnect?: boolean }, socket: Socket): void {
  if (server.pauseOnConnect !== true) socket.resume();
  server.emit('connection', socket);
  socket.off('error', ignore);
}

/** Whether somebody waits to hand this address over. */
export const isKept = (address: string): boolean => kept.has(address);

/** What a server listens with. Node documents it for `listen`; that it can be taken away again is our knowledge. */
type Listening = {
  _handle: object | null;
  /** The path of a unix socket. `listen` takes no handle of one, but goes on with what is there. */
  _pipeName?: string;
  _listen2(address: null, port: -1, addressType: -1, backlog: number): void;
};

/** From one server to another, at once: no connection comes in between. */
function pass(from: Server, to: Server, done?: () => void): void {
  const former = from as unknown as Listening;
  const next = to as unknown as Listening;
  const path = former._pipeName;
  if (path === undefined) {
    to.listen({ _handle: former._handle }, done);
  } else {
    if (done !== undefined) to.once('listening', done);
    next._handle = former._handle;
    next._pipeName = path;
    next._listen2(null, -1, -1, waitingMax);
  }
  former._handle = null;
  // Without its socket this ends nothing but what the server does beside: timers, 'close'.
  from.close();
}
