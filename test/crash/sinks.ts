// Where records go. What a sink has accepted it keeps; what it refused, it has never seen.

import { createServer, type Server, type Socket } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { exportPath, oracleResponse, seenRecords } from '../support/otlp.ts';
import { listening } from '../support/sockets.ts';
import type { Oracle } from './oracle.ts';
import { textIn } from './payload.ts';

/**
 * ok: takes and answers. refuse: says that it is unavailable. busy: asks to come back later. hang: never answers and keeps
 * nothing. late: keeps, and answers when the other end may have given up.
 */
export type Mood = 'ok' | 'refuse' | 'busy' | 'hang' | 'late';

export type Sink = {
  readonly port: number;
  mood: Mood;
  close(): Promise<void>;
};

const same = (bytes: Buffer): Buffer => bytes;
const lateMs = 700;

/** An OTLP/gRPC server. */
export async function otlpSink(oracle: Oracle): Promise<Sink> {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  const sink = { port: 0, mood: 'ok' as Mood };
  const definition = {
    Export: {
      path: exportPath,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  };
  server.addService(definition, {
    Export(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      if (sink.mood === 'hang') return;
      if (sink.mood === 'refuse' || sink.mood === 'busy') {
        const code =
          sink.mood === 'refuse' ? grpc.status.UNAVAILABLE : grpc.status.RESOURCE_EXHAUSTED;
        const metadata = new grpc.Metadata();
        if (sink.mood === 'busy') metadata.set('grpc-status-details-bin', retryInfo(50));
        done({ code, details: `the sink is in the mood to ${sink.mood}`, metadata });
        return;
      }
      for (const { body, attributes } of seenRecords(Buffer.from(call.request))) {
        oracle.deliver(textIn(body) ?? textIn(attributes) ?? String(body));
      }
      const answer = (): void => done(null, oracleResponse());
      if (sink.mood === 'late') setTimeout(answer, lateMs);
      else answer();
    },
  });
  sink.port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync('127.0.0.1:0', credentials, (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  return Object.assign(sink, { close: async () => server.forceShutdown() });
}

/** google.rpc.Status with RetryInfo, written by hand: code 8, details { type_url, value { retry_delay { nanos } } }. */
function retryInfo(ms: number): Buffer {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
  const field = (number: number, bytes: readonly number[]): number[] => [
    number * 8 + 2,
    ...varint(bytes.length),
    ...bytes,
  ];
  const duration = [16, ...varint(ms * 1_000_000)];
  const url = [...Buffer.from('type.googleapis.com/google.rpc.RetryInfo')];
  return Buffer.from([8, 8, ...field(3, [...field(1, url), ...field(2, field(1, duration))])]);
}

/** Lines over TCP; what is cut off at the end of a connection is none. `hang`: reads nothing. */
export async function lineSink(oracle: Oracle): Promise<Sink> {
  const sink = { port: 0, mood: 'ok' as Mood };
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    if (sink.mood === 'refuse') return void socket.destroy();
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let rest: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => {
      const end = chunk.lastIndexOf(10);
      if (end < 0) return void rest.push(chunk);
      const text = Buffer.concat([...rest, chunk.subarray(0, end)]).toString();
      rest = [chunk.subarray(end + 1)];
      for (const line of text.split('\n')) {
        // What never was a line comes as JSON.
        oracle.deliver((line.startsWith('{') ? textIn(JSON.parse(line)) : undefined) ?? line);
      }
    });
  });
  sink.port = await listening(server);
  const pauser = setInterval(() => {
    for (const socket of sockets) {
      if (sink.mood === 'hang') socket.pause();
      else socket.resume();
    }
  }, 20);
  return Object.assign(sink, {
    close: async () => {
      clearInterval(pauser);
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
}
