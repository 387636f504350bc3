// The two receivers that speak gRPC, and peers of each: good ones, and what they need to be bad.

import { type ClientHttp2Session, connect } from 'node:http2';
import type { Deliver, Receiver } from '../../src/pipeline/component.ts';
import { envoy_als } from '../../src/receivers/envoy_als/envoy_als.ts';
import { otlp } from '../../src/receivers/otlp/otlp.ts';
import { StreamAccessLogsMessage, streamPath } from './als.ts';
import { type TestContext, testContext } from './collect.ts';
import { exportPath, oracleBytes } from './otlp.ts';
import { framed } from './raw_http2.ts';
import { portOf } from './sockets.ts';

export type Kind = 'envoy_als' | 'otlp';

export const kinds: readonly Kind[] = ['envoy_als', 'otlp'];

export const pathOf = (kind: Kind): string => (kind === 'otlp' ? exportPath : streamPath('v3'));

/** A message of one record whose path, or body, is a text. */
export function messageOf(kind: Kind, text: string): Buffer {
  if (kind === 'otlp') {
    const logRecords = [{ body: { stringValue: text } }];
    return oracleBytes({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  }
  const message = { httpLogs: { logEntry: [{ request: { path: text } }] } };
  return Buffer.from(
    StreamAccessLogsMessage.encode(StreamAccessLogsMessage.fromObject(message)).finish(),
  );
}

export type Listening = {
  readonly kind: Kind;
  readonly port: number;
  readonly context: TestContext;
  readonly receiver: Receiver;
  /** Requests refused under a reason. */
  refusedRequests(reason: string): number;
  /** Connections refused under a reason. */
  refusedConnections(reason: string): number;
};

/** Starts a receiver; `settings` are those of its gRPC listener. */
export async function listeningGrpc(
  kind: Kind,
  deliver: Deliver,
  settings: object = {},
  context: TestContext = testContext(),
): Promise<Listening> {
  const own = { endpoint: '127.0.0.1:0', ...settings };
  const receiver =
    kind === 'otlp'
      ? otlp.create(otlp.config.parse({ grpc: own }), context)
      : envoy_als.create(envoy_als.config.parse({ linger: '5ms', ...own }), context);
  await receiver.start(deliver);
  const count = (name: string, reason: string): number =>
    context.metrics.read(name, { receiver: context.id, reason }) ?? 0;
  return {
    kind,
    port: portOf(receiver.status?.()),
    context,
    receiver,
    refusedRequests: (reason) => count('meshlog_receiver_requests_refused_total', reason),
    refusedConnections: (reason) => count('meshlog_receiver_connections_refused_total', reason),
  };
}

export type Answer = { status: number | undefined; http: number | undefined; rst: number };

/** One connection of a client that says what it is told to. */
export class RawClient {
  readonly session: ClientHttp2Session;

  constructor(port: number, options: object = {}) {
    this.session = connect(`http://localhost:${port}`, options);
    this.session.on('error', () => undefined);
  }

  /** Sends a body and ends; resolves with the answer. */
  call(
    path: string,
    body: Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const answer: Answer = { status: undefined, http: undefined, rst: 0 };
    const see = (found: Record<string, unknown>): void => {
      if (found['grpc-status'] !== undefined) answer.status = Number(found['grpc-status']);
      if (found[':status'] !== undefined) answer.http = Number(found[':status']);
    };
    stream.on('response', see);
    stream.on('trailers', see);
    stream.on('error', () => undefined);
    stream.resume();
    stream.end(body);
    return new Promise((resolve) => {
      stream.on('close', () => resolve({ ...answer, rst: stream.rstCode ?? 0 }));
    });
  }

  /** A message as it should be. */
  good(kind: Kind, text: string): Promise<Answer> {
    return this.call(pathOf(kind), framed(messageOf(kind, text)));
  }

  close(): void {
    this.session.destroy();
  }
}
