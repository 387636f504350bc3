// What gRPC and HTTP have in common: the records of a request to the pipelines, and what to answer.

import { type Decoded, OtlpDecoder, type Received } from '../../encoding/otlp/decode.ts';
import { fromJson } from '../../encoding/otlp/from_json.ts';
import type { PartialSuccess } from '../../encoding/otlp/response.ts';
import type { Context, Deliver } from '../../pipeline/component.ts';
import { errorChain, RefusedError } from '../../pipeline/errors.ts';
import { grpcCode } from '../../wire/grpc_call.ts';
import { Gathering } from './gathering.ts';
import type { OtlpReceiverConfig } from './otlp.ts';
import { Rooms } from './room.ts';

/** What a request comes to. `code` is gRPC's. */
export type Outcome =
  | { readonly kind: 'taken'; readonly partial: PartialSuccess | undefined }
  | Failure;

export type Failure = {
  readonly kind: 'failed';
  readonly code: number;
  readonly message: string;
  /** Under what it is counted. */
  readonly reason:
    | 'credentials'
    | 'cut_short'
    | 'defect'
    | 'malformed'
    | 'no_room'
    | 'pipeline'
    | 'too_large'
    | 'unsupported_encoding';
  readonly retryAfterMs: number | undefined;
};

/** A request of protobuf. Its bytes are given away: it has none from then on. */
export type Request = Received & {
  message: Buffer;
  own: Buffer | undefined;
  readonly from: { answer(outcome: Outcome): void };
};

/** Requests share a batch up to this size: with room for ids, 256 KiB of the pool. */
const togetherBytesMax = 232 * 1024;
const nothing = Buffer.alloc(0);

export class Intake {
  readonly #deliver: Deliver;
  readonly #context: Context;
  readonly #decoder: OtlpDecoder;
  readonly #gathering: Gathering<Request>;
  readonly rooms: Rooms;

  constructor(deliver: Deliver, settings: OtlpReceiverConfig, context: Context) {
    this.#deliver = deliver;
    this.#context = context;
    this.#decoder = new OtlpDecoder(settings.access_logs);
    this.rooms = new Rooms(settings.max_wait, context);
    this.#gathering = new Gathering((requests) => this.#handOver(requests), togetherBytesMax);
  }

  /** Delivers the records of a request and says what to answer. Requests that come in together are delivered together. */
  take(request: Request): void {
    this.rooms.found();
    this.#gathering.add(request, request.message.length);
  }

  takeJson(text: Buffer, answer: (outcome: Outcome) => void): void {
    const read = fromJson(text.toString());
    if ('problem' in read) return answer(invalid(`the request is no OTLP/JSON: ${read.problem}`));
    this.take({ message: read.bytes, own: undefined, from: { answer } });
  }

  /** Never rejects. */
  async #handOver(requests: readonly Request[]): Promise<void> {
    let decoded: Decoded;
    try {
      decoded = this.#decoder.decode(requests, this.#context.now());
    } catch (error) {
      // A defect of ours.
      const failure = failed(grpcCode.INTERNAL, errorChain(error), 'defect');
      for (const { from } of requests) from.answer(failure);
      return;
    }
    // The messages live on in the batch only.
    for (const request of requests) {
      request.message = nothing;
      request.own = undefined;
    }
    const failure = await this.#delivered(decoded);
    for (let i = 0; i < requests.length; i++) {
      const { records, rejected } = decoded.readings[i]!;
      requests[i]!.from.answer(
        records < 0 ? notOtlp : records > 0 && failure ? failure : this.#taken(records, rejected),
      );
    }
  }

  #taken(records: number, rejected: number): Outcome {
    if (rejected === 0) return taken;
    this.#context.drop('malformed_record', rejected);
    const message = `${rejected} of ${records} log records are malformed`;
    return { kind: 'taken', partial: { rejected, message } };
  }

  async #delivered(decoded: Decoded): Promise<Failure | undefined> {
    const { batches } = decoded;
    const [only] = batches;
    try {
      if (batches.length === 1 && only !== undefined) await this.#deliver(only);
      else {
        const results = await Promise.allSettled(batches.map((batch) => this.#deliver(batch)));
        for (const result of results) if (result.status === 'rejected') throw result.reason;
      }
    } catch (error) {
      return failureOf(error);
    }
    decoded.release();
    return undefined;
  }
}

export const failed = (code: number, message: string, reason: Failure['reason']): Failure => {
  return { kind: 'failed', code, message, reason, retryAfterMs: undefined };
};
const invalid = (message: string): Failure =>
  failed(grpcCode.INVALID_ARGUMENT, message, 'malformed');

const notOtlp = invalid('the request is no ExportLogsServiceRequest');
const taken: Outcome = { kind: 'taken', partial: undefined };

/** What the pipeline did not take over. */
function failureOf(error: unknown): Failure {
  const message = errorChain(error);
  if (!(error instanceof RefusedError)) return failed(grpcCode.UNAVAILABLE, message, 'pipeline');
  const { retryable, retryAfterMs } = error;
  const code = retryable ? grpcCode.UNAVAILABLE : grpcCode.INTERNAL;
  return {
    ...failed(code, message, 'pipeline'),
    retryAfterMs: retryable ? retryAfterMs : undefined,
  };
}

/** The HTTP status that tells a sender the same as a gRPC code. */
export function httpStatusOf(code: number): number {
  switch (code) {
    case 1: // CANCELLED
    case 4: // DEADLINE_EXCEEDED
    case 10: // ABORTED
    case 11: // OUT_OF_RANGE
    case 14: // UNAVAILABLE
    case 15: // DATA_LOSS
      return 503;
    case 8: // RESOURCE_EXHAUSTED
      return 429;
    case 3: // INVALID_ARGUMENT
      return 400;
    case 16: // UNAUTHENTICATED
      return 401;
    case 7: // PERMISSION_DENIED
      return 403;
    case 12: // UNIMPLEMENTED
      return 404;
    default:
      return 500;
  }
}
