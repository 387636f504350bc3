// OTLP over gRPC.

import { putPartialSuccess, putStatus } from '../../encoding/otlp/response.ts';
import { buffers } from '../../pipeline/buffers.ts';
import { refusals, requestRefusals } from '../../pipeline/refusals.ts';
import { addressText } from '../../wire/address.ts';
import { type GrpcReply, type GrpcStatus, grpcCode } from '../../wire/grpc_call.ts';
import { Health, isHealthPath } from '../../wire/grpc_health.ts';
import type { GrpcCaller, GrpcHandler, GrpcMethod } from '../../wire/grpc_method.ts';
import { GrpcServer } from '../../wire/grpc_server.ts';
import { authorizer } from './auth.ts';
import type { Failure, Intake, Outcome } from './intake.ts';
import {
  type ListenerParts,
  type LoadedTls,
  loadTls,
  stopGraceMs,
  warnOfPlainText,
} from './listener.ts';
import type { GrpcConfig } from './otlp.ts';
import { Room } from './room.ts';

const exportPath = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';

export class GrpcListener {
  readonly #config: GrpcConfig;
  readonly #parts: ListenerParts;
  #server: GrpcServer | undefined;
  #tls: LoadedTls | undefined;
  readonly #health = new Health([exportPath]);

  constructor(config: GrpcConfig, parts: ListenerParts) {
    this.#config = config;
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { settings, context, intake } = this.#parts;
    const { endpoint, tls, keepalive } = this.#config;
    this.#tls = await loadTls(tls, context);
    const isAllowed = authorizer(settings.auth);
    const server = new GrpcServer({
      address: endpoint,
      ...(this.#tls === undefined ? {} : { tls: this.#tls }),
      allowedSpiffeIds: settings.allowed_spiffe_ids,
      maxConnections: this.#config.max_connections,
      maxConcurrentStreams: this.#config.max_concurrent_streams,
      messageBytesMax: Math.floor(this.#config.max_recv_msg_size_mib * 1024 * 1024),
      keepalive: {
        time: keepalive.time,
        timeout: keepalive.timeout,
        maxConnectionAge: keepalive.max_connection_age,
        maxConnectionAgeGrace: keepalive.max_connection_age_grace,
        maxConnectionIdle: keepalive.max_connection_idle,
      },
      requestTimeout: settings.request_timeout,
      methods: new Map([[exportPath, exportMethod(intake)], ...this.#health.methods]),
      authorize: (headers) =>
        isAllowed(headers) || isHealthPath(headers[':path']) ? undefined : unauthenticated,
      refused: refusals(context),
      refusedCall: requestRefusals(context),
    });
    try {
      await server.listen();
    } catch (error) {
      this.#tls?.certificates.close();
      throw error;
    }
    this.#server = server;
    warnOfPlainText(endpoint, tls !== undefined, context);
  }

  async stop(): Promise<void> {
    this.#health.leave();
    await this.#server?.stop(stopGraceMs);
    this.#tls?.certificates.close();
  }

  status(): string {
    const address = this.#server?.address ?? this.#config.endpoint;
    return `grpc ${addressText(address)}${this.#tls === undefined ? '' : ' (tls)'}`;
  }
}

const unauthenticated: GrpcStatus = {
  code: grpcCode.UNAUTHENTICATED,
  details: 'the credentials are missing or wrong',
  reason: 'credentials',
};

function exportMethod(intake: Intake): GrpcMethod {
  return {
    streaming: false,
    open: (caller) => new ExportCall(caller, intake),
    admit: (bytes, handler) => (handler as ExportCall).admit(bytes),
  };
}

const nothing = Buffer.alloc(0);
/** Everything was taken. */
const taken: GrpcReply = { message: putPartialSuccess(undefined) };
/** Messages from this size on are put together in a buffer of the pool. */
const placedBytesMin = 8 * 1024;

/** One request. Its room is given back when it is answered, or when its sender is gone. */
class ExportCall implements GrpcHandler {
  readonly #caller: GrpcCaller;
  readonly #intake: Intake;
  readonly #room: Room;
  #message: Buffer = nothing;
  /** Of the pool; the message is put together in it. */
  #own: Buffer | undefined;

  constructor(caller: GrpcCaller, intake: Intake) {
    this.#caller = caller;
    this.#intake = intake;
    this.#room = new Room(intake.rooms);
  }

  admit(bytes: number): undefined | Promise<undefined | GrpcStatus> {
    return this.#room.reserve(bytes)?.then((failure) => failure && statusOf(failure));
  }

  place(bytes: number): Buffer | undefined {
    // Small ones are copied into a batch with others: a buffer of the pool for each would be mostly empty.
    if (bytes < placedBytesMin) return undefined;
    // Ids need room behind the message: with a little more the decoder can stay in the same buffer.
    this.#own = buffers.take(bytes + (bytes >> 3));
    return this.#own;
  }

  /** Decompressed, it may be longer than what room was asked for. */
  message(message: Buffer): undefined | Promise<undefined | GrpcStatus> {
    this.#message = message;
    return this.admit(message.length);
  }

  end(): undefined {
    this.#intake.take({ message: this.#message, own: this.#own, from: this });
    this.#message = nothing;
    this.#own = undefined;
  }

  answer(outcome: Outcome): void {
    this.#room.close();
    this.#caller.answer(replyOf(outcome));
  }

  abort(): void {
    this.#room.close();
    if (this.#own !== undefined) buffers.give(this.#own);
    this.#own = undefined;
  }
}

function replyOf(outcome: Outcome): GrpcReply {
  if (outcome.kind === 'failed') return statusOf(outcome);
  return outcome.partial === undefined ? taken : { message: putPartialSuccess(outcome.partial) };
}

function statusOf({ code, message, reason, retryAfterMs }: Failure): GrpcStatus {
  const plain = { code, details: message, reason };
  if (retryAfterMs === undefined) return plain;
  return { ...plain, status: putStatus({ code, message, retryAfterMs }) };
}
