// Where records come from. Each one says to the oracle what it has issued, and what the daemon owes from then on.

import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { StreamAccessLogsMessage, StreamAccessLogsResponse, streamPath } from '../support/als.ts';
import type { Oracle } from './oracle.ts';
import { type Id, payload } from './payload.ts';

export type Producer = {
  /** From now on nothing new is issued. Resolves when nothing is under way. */
  stop(): Promise<void>;
  /** The same, without waiting for what nobody answers. */
  abort(): void;
  /** One more record. */
  fresh(): Id;
};

const everyMs = 20;

/** Appends to a file, which is renamed when it has `rotateBytes`. A complete line in a file is owed. */
export function fileProducer(
  oracle: Oracle,
  options: { folder: string; stream: string; perTick: number; rotateBytes: number },
): Producer {
  const { folder, stream, perTick, rotateBytes } = options;
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${stream}.log`);
  let number = 0;
  let rotations = 0;
  const write = (): Id => {
    const id = { stream, number: number++ };
    oracle.issue(id);
    appendFileSync(path, `${payload(id)}\n`);
    oracle.acknowledge(id);
    return id;
  };
  const timer = setInterval(() => {
    for (let i = 0; i < perTick; i++) write();
    if (statSync(path).size > rotateBytes) renameSync(path, `${path}.${++rotations}`);
  }, everyMs);
  return {
    stop: async () => clearInterval(timer),
    abort: () => clearInterval(timer),
    fresh: write,
  };
}

/** Posts OTLP/JSON. An answered request is owed; an unanswered one is sent again. */
export function otlpProducer(
  oracle: Oracle,
  options: { port: number; stream: string; perRequest: number },
): Producer {
  const { port, stream, perRequest } = options;
  let number = 0;
  let stopped = false;
  let aborted = false;
  let extra: Id[] = [];
  const running = (async () => {
    let ids: Id[] = [];
    while (!aborted && (!stopped || ids.length > 0 || extra.length > 0)) {
      if (ids.length === 0) {
        ids = extra.splice(0);
        while (!stopped && ids.length < perRequest) ids.push({ stream, number: number++ });
        for (const id of ids) oracle.issue(id);
      }
      if (await post(port, ids)) {
        for (const id of ids) oracle.acknowledge(id);
        ids = [];
      }
      await new Promise((done) => setTimeout(done, everyMs));
    }
  })();
  return {
    stop: () => {
      stopped = true;
      return running;
    },
    abort: () => {
      aborted = true;
    },
    fresh: () => {
      const id = { stream, number: number++ };
      oracle.issue(id);
      extra = [...extra, id];
      return id;
    },
  };
}

function post(port: number, ids: readonly Id[]): Promise<boolean> {
  const logRecords = ids.map((id) => ({ body: { stringValue: payload(id) } }));
  const body = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  return new Promise((resolve) => {
    const request = httpRequest(
      {
        port,
        host: '127.0.0.1',
        path: '/v1/logs',
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        timeout: 5000,
      },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode === 200));
        response.on('error', () => resolve(false));
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
    request.end(body);
  });
}

/** Writes lines to a socket. Plain TCP acknowledges nothing, so nothing is owed: what comes must be whole. */
export function tcpProducer(
  oracle: Oracle,
  options: { port: number; stream: string; perTick: number },
): Producer {
  const { port, stream, perTick } = options;
  let number = 0;
  let socket: Socket | undefined;
  const write = (): Id => {
    const id = { stream, number: number++ };
    oracle.issue(id);
    socket?.write(`${payload(id)}\n`);
    return id;
  };
  const timer = setInterval(() => {
    if (socket === undefined || socket.destroyed) {
      socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
    }
    if (socket.connecting || socket.writableNeedDrain) return;
    for (let i = 0; i < perTick; i++) write();
  }, everyMs);
  return {
    stop: async () => {
      clearInterval(timer);
      socket?.end();
    },
    abort: () => {
      clearInterval(timer);
      socket?.destroy();
    },
    fresh: write,
  };
}

/** A proxy's access log stream. The protocol acknowledges nothing, so nothing is owed. The path of a request is the text. */
export function alsProducer(
  oracle: Oracle,
  options: { port: number; stream: string; perTick: number },
): Producer {
  const { port, stream, perTick } = options;
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_reconnect_backoff_ms': 100,
    'grpc.initial_reconnect_backoff_ms': 50,
  });
  let number = 0;
  let call: grpc.ClientWritableStream<object> | undefined;
  const open = (): grpc.ClientWritableStream<object> => {
    const opened = client.makeClientStreamRequest<object, unknown>(
      streamPath('v3'),
      (message) =>
        Buffer.from(
          StreamAccessLogsMessage.encode(StreamAccessLogsMessage.fromObject(message)).finish(),
        ),
      (bytes) => StreamAccessLogsResponse.decode(bytes),
      () => {
        if (call === opened) call = undefined;
      },
    );
    opened.on('error', () => undefined);
    const identifier = { node: { id: 'sidecar~10.0.0.1~a.b~b', cluster: 'a' }, logName: 'crash' };
    opened.write({ identifier });
    return opened;
  };
  const write = (): Id => {
    const id = { stream, number: number++ };
    oracle.issue(id);
    const logEntry = [
      { request: { path: payload(id) }, response: { responseCode: { value: 200 } } },
    ];
    call?.write({ httpLogs: { logEntry } });
    return id;
  };
  const timer = setInterval(() => {
    call ??= open();
    if (call.writableNeedDrain) return;
    for (let i = 0; i < perTick; i++) write();
  }, everyMs);
  const end = (): void => {
    clearInterval(timer);
    call?.cancel();
    client.close();
  };
  return {
    stop: async () => {
      clearInterval(timer);
      call?.end();
    },
    abort: end,
    fresh: write,
  };
}
