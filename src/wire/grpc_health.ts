// grpc.health.v1: whether a server takes requests, for platforms that ask (Check) and for clients that want to be told
// (Watch). https://github.com/grpc/grpc/blob/master/doc/health-checking.md

import { type GrpcReply, type GrpcStatus, grpcCode } from './grpc_call.ts';
import type { GrpcHandler, GrpcMethod } from './grpc_method.ts';
import { beginReply, endReply, sendMessage } from './grpc_reply.ts';
import type { Stream } from './http2/stream.ts';

const prefix = '/grpc.health.v1.Health/';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** Watches are open for as long as their peers like: further ones are refused. */
const watchesMax = 100;
const sweepMs = 250;

/** Whoever asks needs no credentials, and its message no room: it has to be short. */
const messageBytesMax = 1024;
const tooLong: GrpcStatus = {
  code: grpcCode.RESOURCE_EXHAUSTED,
  details: `a message for the health service is no longer than ${messageBytesMax} bytes`,
  reason: 'too_large',
};
const admit = (bytes: number): undefined | GrpcStatus =>
  bytes > messageBytesMax ? tooLong : undefined;

const tooMany: GrpcStatus = {
  code: grpcCode.RESOURCE_EXHAUSTED,
  details: `there are ${watchesMax} watches already`,
  reason: 'too_many_watches',
};

/** Whether a path belongs to the health service: probes of a platform carry no credentials. */
export const isHealthPath = (path: unknown): boolean => String(path).startsWith(prefix);

/** The health of one server. `leave` before the server stops: open watches would hold it up. */
export class Health {
  readonly methods: readonly (readonly [path: string, method: GrpcMethod])[];
  /** The empty name is the server as a whole. */
  readonly #services = new Set(['']);
  readonly #watches = new Set<Watch>();
  #isServing = true;
  #sweep: NodeJS.Timeout | undefined;

  /** `paths`: of the server's other methods, whose services can be asked for. */
  constructor(paths: readonly string[]) {
    for (const path of paths) this.#services.add(path.split('/')[1] ?? '');
    this.methods = [
      [`${prefix}Check`, { streaming: false, admit, open: () => new Check(this) }],
      [
        `${prefix}Watch`,
        { streaming: false, admit, open: ({ stream }) => new Watch(this, stream) },
      ],
    ];
  }

  /** From now on nothing is served; whoever watches is told, and let go. */
  leave(): void {
    this.#isServing = false;
    for (const watch of this.#watches) watch.leave(this.statusOf(watch.service));
  }

  /** @internal */ statusOf(service: string): number {
    if (!this.#services.has(service)) return SERVICE_UNKNOWN;
    return this.#isServing ? SERVING : NOT_SERVING;
  }

  /** @internal False: there are too many. */
  opened(watch: Watch): boolean {
    if (this.#watches.size >= watchesMax) return false;
    this.#watches.add(watch);
    this.#sweep ??= setInterval(() => {
      for (const open of this.#watches) if (open.isLeaving) open.leave();
    }, sweepMs).unref();
    return true;
  }

  /** @internal */ closed(watch: Watch): void {
    this.#watches.delete(watch);
    if (this.#watches.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}

class Check implements GrpcHandler {
  readonly #health: Health;
  #service = '';

  constructor(health: Health) {
    this.#health = health;
  }

  message(message: Buffer): undefined {
    this.#service = serviceOf(message);
  }

  end(): GrpcReply {
    const status = this.#health.statusOf(this.#service);
    if (status !== SERVICE_UNKNOWN) return { message: answer(status) };
    const details = `there is no service "${this.#service}" here`;
    return { code: grpcCode.NOT_FOUND, details, reason: 'unknown_service' };
  }
}

/** Two answers at the most, so that a peer that reads none holds nothing. */
class Watch implements GrpcHandler {
  readonly #health: Health;
  readonly #stream: Stream;
  service = '';

  constructor(health: Health, stream: Stream) {
    this.#health = health;
    this.#stream = stream;
  }

  message(message: Buffer): undefined {
    this.service = serviceOf(message);
  }

  end(): GrpcReply | undefined {
    const stream = this.#stream;
    if (stream.isOver || !this.#health.opened(this)) return tooMany;
    beginReply(stream);
    sendMessage(stream, answer(this.#health.statusOf(this.service)));
    // The watch itself ends what it has begun.
    return undefined;
  }

  gone(): void {
    this.#health.closed(this);
  }

  /** Whether the connection was told to end. */
  get isLeaving(): boolean {
    return this.#stream.connection.isLeaving;
  }

  /** Ends the watch, with a last word if there is one. */
  leave(status?: number): void {
    if (this.#stream.isOver) return;
    if (status !== undefined) sendMessage(this.#stream, answer(status));
    endReply(this.#stream, watchAgain);
  }
}

const watchAgain: GrpcStatus = { code: grpcCode.UNAVAILABLE, details: 'watch again elsewhere' };

/** The text of field 1. Nobody's service has a name of 128 bytes or more. */
function serviceOf(message: Buffer): string {
  if (message.length === 0) return '';
  const [tag, length = 0] = message;
  return tag === 0x0a && length < 128 ? message.toString('utf8', 2, 2 + length) : '?';
}

const answer = (status: number): Buffer => Buffer.from([0x08, status]);
