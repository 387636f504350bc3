// OTLP seen by somebody else: a decoder and encoder that we did not write, and real servers that receive.

import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type RequestListener,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createRequire } from 'node:module';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import * as grpc from '@grpc/grpc-js';

type Codec = {
  decode(bytes: Uint8Array): unknown;
  encode(message: unknown): { finish(): Uint8Array };
  fromObject(message: unknown): unknown;
  toObject(message: unknown, options: object): unknown;
};

const root = createRequire(import.meta.url)('otlp-oracle/build/src/generated/root.js') as {
  opentelemetry: {
    proto: {
      collector: {
        logs: {
          v1: { ExportLogsServiceRequest: Codec; ExportLogsServiceResponse: Codec };
        };
      };
    };
  };
};
const { ExportLogsServiceRequest, ExportLogsServiceResponse } =
  root.opentelemetry.proto.collector.logs.v1;

type OracleValue = {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: string;
  doubleValue?: number;
  bytesValue?: Uint8Array;
  arrayValue?: { values?: OracleValue[] };
  kvlistValue?: { values?: OracleKeyValue[] };
};
type OracleKeyValue = { key?: string; value?: OracleValue };
type OracleRequest = {
  resourceLogs?: {
    resource?: { attributes?: OracleKeyValue[] };
    scopeLogs?: { scope?: { name?: string; version?: string }; logRecords?: OracleLog[] }[];
  }[];
};
type OracleLog = {
  timeUnixNano?: string;
  observedTimeUnixNano?: string;
  severityNumber?: number;
  severityText?: string;
  body?: OracleValue;
  attributes?: OracleKeyValue[];
  traceId?: Uint8Array;
  spanId?: Uint8Array;
};

/** A record as the oracle reads it. Integers are bigint, so that they can be told from doubles. */
export type SeenRecord = {
  time: bigint;
  observedTime: bigint;
  severityNumber: number;
  severityText: string;
  body: unknown;
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
  scope: string;
  traceId: string;
  spanId: string;
};

const plain = { longs: String, arrays: false };

/** The request as plain objects in protobuf's own words. */
export function oracleRequest(bytes: Uint8Array): OracleRequest {
  return ExportLogsServiceRequest.toObject(
    ExportLogsServiceRequest.decode(bytes),
    plain,
  ) as OracleRequest;
}

/** All records of a request. Throws where a key is repeated, or where the bytes are no valid request. */
export function seenRecords(bytes: Uint8Array): SeenRecord[] {
  const records: SeenRecord[] = [];
  for (const { resource, scopeLogs } of oracleRequest(bytes).resourceLogs ?? []) {
    for (const { scope, logRecords } of scopeLogs ?? []) {
      for (const log of logRecords ?? []) {
        records.push({
          time: BigInt(log.timeUnixNano ?? 0),
          observedTime: BigInt(log.observedTimeUnixNano ?? 0),
          severityNumber: log.severityNumber ?? 0,
          severityText: log.severityText ?? '',
          body: seenValue(log.body),
          attributes: seenMap(log.attributes),
          resource: seenMap(resource?.attributes),
          scope: `${scope?.name ?? ''} ${scope?.version ?? ''}`,
          traceId: Buffer.from(log.traceId ?? []).toString('hex'),
          spanId: Buffer.from(log.spanId ?? []).toString('hex'),
        });
      }
    }
  }
  return records;
}

function seenMap(pairs: OracleKeyValue[] = []): Record<string, unknown> {
  const map: Record<string, unknown> = {};
  for (const { key = '', value } of pairs) {
    if (Object.hasOwn(map, key)) throw new Error(`key ${key} is there twice`);
    Object.defineProperty(map, key, { value: seenValue(value), enumerable: true });
  }
  return map;
}

function seenValue(value: OracleValue | undefined): unknown {
  if (value?.stringValue !== undefined) return value.stringValue;
  if (value?.boolValue !== undefined) return value.boolValue;
  if (value?.intValue !== undefined) return BigInt(value.intValue);
  if (value?.doubleValue !== undefined) return value.doubleValue;
  if (value?.bytesValue !== undefined) return new Uint8Array(value.bytesValue);
  if (value?.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(seenValue);
  if (value?.kvlistValue !== undefined) return seenMap(value.kvlistValue.values);
  return undefined;
}

/** A request made by the oracle from proto-JSON-like objects. */
export function oracleBytes(request: object): Buffer {
  return Buffer.from(
    ExportLogsServiceRequest.encode(ExportLogsServiceRequest.fromObject(request)).finish(),
  );
}

/** ExportLogsServiceResponse made by the oracle. */
export function oracleResponse(rejected = 0, errorMessage = ''): Buffer {
  const message =
    rejected === 0 && errorMessage === '' ? {} : { rejectedLogRecords: rejected, errorMessage };
  return Buffer.from(
    ExportLogsServiceResponse.encode(
      ExportLogsServiceResponse.fromObject(
        Object.keys(message).length === 0 ? {} : { partialSuccess: message },
      ),
    ).finish(),
  );
}

export function readResponse(bytes: Uint8Array): { rejected: number; message: string } {
  const response = ExportLogsServiceResponse.toObject(
    ExportLogsServiceResponse.decode(bytes),
    plain,
  ) as { partialSuccess?: { rejectedLogRecords?: string; errorMessage?: string } };
  return {
    rejected: Number(response.partialSuccess?.rejectedLogRecords ?? 0),
    message: response.partialSuccess?.errorMessage ?? '',
  };
}

type Answer = Buffer | Partial<grpc.StatusObject> | 'never' | 'reset';

export type GrpcSink = {
  readonly port: number;
  readonly requests: Buffer[];
  readonly metadata: grpc.Metadata[];
  /** What the next requests are answered with; the last one stays. Empty: everything is accepted. */
  answers: Answer[];
  records(): SeenRecord[];
  /** All bodies so far. Each request is decoded once: it may be asked for often. */
  bodies(): ReadonlySet<unknown>;
  /** Ends every connection at once. */
  close(): void;
};

export const exportPath = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
const same = (bytes: Buffer): Buffer => bytes;
const service: grpc.ServiceDefinition = {
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

/** A gRPC server that takes logs, on `address` (a free port by default). */
export async function grpcSink(
  options: { address?: string; credentials?: grpc.ServerCredentials; options?: object } = {},
): Promise<GrpcSink> {
  const server = new grpc.Server(options.options ?? {});
  const sink = { port: 0, requests: [], metadata: [], answers: [] } as unknown as GrpcSink & {
    port: number;
  };
  server.addService(service, {
    Export(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      sink.requests.push(Buffer.from(call.request));
      sink.metadata.push(call.metadata);
      const answer = sink.answers.length > 1 ? sink.answers.shift() : sink.answers[0];
      if (answer === undefined) done(null, oracleResponse());
      else if (Buffer.isBuffer(answer)) done(null, answer);
      else if (answer === 'reset') server.forceShutdown();
      else if (answer !== 'never') done(answer as grpc.ServiceError);
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      options.address ?? '127.0.0.1:0',
      options.credentials ?? grpc.ServerCredentials.createInsecure(),
      (error, bound) => (error === null ? resolve(bound) : reject(error)),
    );
  });
  const bodies = new Set<unknown>();
  let looked = 0;
  return Object.assign(sink, {
    port,
    bodies: () => {
      for (const request of sink.requests.slice(looked)) {
        for (const { body } of seenRecords(request)) bodies.add(body);
        looked++;
      }
      return bodies;
    },
    records: () => sink.requests.flatMap(seenRecords),
    close: () => server.forceShutdown(),
  });
}

type HttpAnswer = { status?: number; headers?: Record<string, string>; body?: string | Buffer };

export type HttpSink = {
  readonly port: number;
  readonly requests: { path: string; headers: IncomingHttpHeaders; body: Buffer }[];
  /** What the next requests are answered with; the last one stays. Empty: everything is accepted. */
  answers: (HttpAnswer | 'never' | 'reset')[];
  close(): void;
};

/**
 * An HTTP server that takes logs. Bodies are kept as they were before any compression; one over `bodyBytesMax` is refused
 * with 413 and not kept.
 */
export async function httpSink(
  options: { path?: string; tls?: object; bodyBytesMax?: number } = {},
): Promise<HttpSink> {
  const sink = { port: 0, requests: [], answers: [] } as unknown as HttpSink & { port: number };
  const handler: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      if (raw.length > (options.bodyBytesMax ?? Number.POSITIVE_INFINITY)) {
        response.writeHead(413).end();
        return;
      }
      const encoding = request.headers['content-encoding'];
      const body =
        encoding === 'gzip' ? gunzipSync(raw) : encoding === 'zstd' ? zstdDecompressSync(raw) : raw;
      sink.requests.push({ path: request.url ?? '', headers: request.headers, body });
      const answer = (sink.answers.length > 1 ? sink.answers.shift() : sink.answers[0]) ?? {};
      if (answer === 'reset') request.socket.resetAndDestroy();
      else if (answer !== 'never') {
        response.writeHead(answer.status ?? 200, answer.headers).end(answer.body);
      }
    });
  };
  const server =
    options.tls === undefined ? createHttpServer(handler) : createHttpsServer(options.tls, handler);
  await new Promise<void>((done) =>
    options.path === undefined
      ? server.listen(0, '127.0.0.1', done)
      : server.listen(options.path, done),
  );
  const address = server.address();
  return Object.assign(sink, {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  });
}
