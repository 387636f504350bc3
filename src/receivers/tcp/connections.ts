// The open connections of a tcp receiver: their bytes in, backpressure out to all of them.

import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LineFramer } from '../../encoding/framing/framer.ts';
import { LineGatherer, type LineSource } from '../../encoding/framing/gatherer.ts';
import type { Batch } from '../../pipeline/batch.ts';
import type { Context, Counter } from '../../pipeline/component.ts';
import { HeldBack } from '../../pipeline/held_back.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { readShared } from '../../wire/shared_read.ts';
import type { TcpConfig } from './tcp.ts';

type Connection = LineSource & {
  socket: Socket;
  /** Bytes that were read when there was no room. */
  stash: Buffer | undefined;
  closed: boolean;
};

type CloseReason = 'peer' | 'idle' | 'error' | 'bad_frame' | 'stop';

const readBytes = 64 * 1024;
/** At the end, connections are read until they are quiet, but not longer than this. */
const quietMs = 50;
const drainMsMax = 500;
const reliefRounds = 16;

export class Connections {
  readonly #settings: TcpConfig;
  readonly #context: Context;
  readonly #gatherer: LineGatherer;
  readonly #open = new Set<Connection>();
  /** Connections with a stash or an end that found no room, in order. While there are any, nobody is read. */
  #waiting: Connection[] = [];
  #held = false;
  #lastReadMs = 0;
  readonly #kept = { bytes: 0 };
  readonly #buffer = Buffer.allocUnsafeSlow(readBytes);
  readonly #closed: Record<CloseReason, Counter>;
  readonly #heldBack: HeldBack;
  #settled: (() => void)[] = [];

  constructor(
    settings: TcpConfig,
    context: Context,
    handOver: (batch: Batch, budgetBytes: number) => void,
  ) {
    this.#settings = settings;
    this.#context = context;
    this.#gatherer = new LineGatherer(
      {
        policy: { lineBytesMax: settings.line_bytes_max, tooLong: settings.line_too_long },
        lingerMs: settings.linger,
        handOver,
        onRoom: () => this.#goOn(),
      },
      context,
    );
    const labels = { receiver: context.id };
    const closed = (reason: CloseReason): Counter =>
      context.metrics.counter('meshlog_receiver_connections_closed_total', 'Connections closed.', {
        ...labels,
        reason,
      });
    this.#closed = {
      peer: closed('peer'),
      idle: closed('idle'),
      error: closed('error'),
      bad_frame: closed('bad_frame'),
      stop: closed('stop'),
    };
    this.#heldBack = new HeldBack(context);
    context.metrics.gauge(
      'meshlog_receiver_connections',
      'Open connections.',
      labels,
      () => this.#open.size,
    );
    context.metrics.gauge(
      'meshlog_receiver_partial_bytes',
      'Memory of unfinished lines.',
      labels,
      () => this.#kept.bytes,
    );
  }

  get size(): number {
    return this.#open.size;
  }

  /** Reads a connection until it ends. `plain`: through the shared buffer, which TLS cannot. */
  add(accepted: Socket, facts: Attributes, kind: 'plain' | 'tls'): void {
    const { framing, line_bytes_max, line_too_long, idle_timeout } = this.#settings;
    const framer = new LineFramer({
      framing,
      policy: { lineBytesMax: line_bytes_max, tooLong: line_too_long },
      facts,
      counts: this.#gatherer.counts,
      kept: this.#kept,
    });
    const connection: Connection = {
      framer,
      own: undefined,
      lastShared: undefined,
      socket: accepted,
      stash: undefined,
      closed: false,
    };
    if (kind === 'plain') {
      const buffer = this.#buffer;
      connection.socket = readShared(accepted, buffer, (bytes) =>
        this.#read(connection, bytes === buffer.length ? buffer : buffer.subarray(0, bytes)),
      );
    } else accepted.on('data', (chunk: Buffer) => this.#read(connection, chunk));
    this.#open.add(connection);
    this.#watch(connection.socket, connection);
    if (idle_timeout > 0) connection.socket.setTimeout(idle_timeout);
    if (this.#held) connection.socket.pause();
    else connection.socket.resume();
  }

  /** Takes what the kernel has already received, then closes all and hands over everything. */
  async drain(): Promise<void> {
    const startMs = performance.now();
    this.#lastReadMs = startMs;
    for (const { socket } of this.#open) socket.end();
    for (;;) {
      const nowMs = performance.now();
      if (this.#open.size === 0 || this.#held) break;
      if (nowMs - this.#lastReadMs > quietMs || nowMs - startMs > drainMsMax) break;
      await sleep(quietMs / 4);
    }
    for (const connection of this.#open) this.#close(connection, 'stop');
    if (this.#open.size > 0 || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => this.#settled.push(resolve));
    }
    this.#gatherer.close();
  }

  #watch(socket: Socket, connection: Connection): void {
    let reason: CloseReason = 'peer';
    socket.on('error', () => {
      reason = 'error';
    });
    socket.on('timeout', () => {
      // Silence of our own making is no reason to close.
      if (this.#held) socket.setTimeout(this.#settings.idle_timeout);
      else this.#close(connection, 'idle');
    });
    socket.on('close', () => {
      if (!connection.closed) this.#closed[reason].add(1);
      connection.closed = true;
      this.#open.delete(connection);
      if (connection.stash !== undefined) return;
      if (this.#gatherer.finish(connection)) this.#checkSettled();
      else this.#hold(connection);
    });
  }

  #close(connection: Connection, reason: CloseReason): void {
    if (!connection.closed) this.#closed[reason].add(1);
    connection.closed = true;
    connection.socket.destroy();
  }

  #read(connection: Connection, chunk: Buffer): void {
    this.#lastReadMs = performance.now();
    if (connection.stash !== undefined) {
      connection.stash = Buffer.concat([connection.stash, chunk]);
    } else if (this.#gatherer.take(connection, chunk)) this.#taken(connection);
    else {
      connection.stash = Buffer.from(chunk);
      this.#hold(connection);
    }
  }

  #taken(connection: Connection): void {
    if (connection.framer.broken && !connection.closed) {
      this.#context.drop('bad_frame', 1);
      this.#close(connection, 'bad_frame');
    }
    for (let i = 0; i < reliefRounds && this.#kept.bytes > this.#settings.partial_bytes_max; i++) {
      this.#relieve();
    }
  }

  /** Gives up the longest unfinished line. */
  #relieve(): void {
    let longest: Connection | undefined;
    for (const connection of this.#open) {
      const { framer } = connection;
      if (framer.tailLength === 0) framer.release();
      else if (framer.tailLength > (longest?.framer.tailLength ?? 0)) longest = connection;
    }
    if (longest !== undefined) this.#gatherer.relieve(longest);
  }

  /** Not reading is the backpressure: the peers' TCP windows fill up. */
  #hold(connection: Connection): void {
    this.#waiting.push(connection);
    if (this.#held) return;
    this.#held = true;
    this.#heldBack.begin();
    for (const { socket } of this.#open) socket.pause();
  }

  #goOn(): void {
    while (this.#waiting.length > 0) {
      const connection = this.#waiting[0] as Connection;
      if (connection.stash !== undefined) {
        if (!this.#gatherer.take(connection, connection.stash)) return;
        connection.stash = undefined;
        this.#taken(connection);
      }
      if (!this.#open.has(connection) && !this.#gatherer.finish(connection)) return;
      this.#waiting.shift();
    }
    if (this.#held) this.#heldBack.end();
    this.#held = false;
    for (const { socket } of this.#open) socket.resume();
    this.#checkSettled();
  }

  #checkSettled(): void {
    if (this.#open.size > 0 || this.#waiting.length > 0) return;
    for (const resolve of this.#settled) resolve();
    this.#settled = [];
  }
}
