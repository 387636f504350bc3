// What gRPC and HTTP have in common: room for a request, its records to the pipelines, and what to answer.

import { type Decoded, OtlpDecoder, type Received } from '../../encoding/otlp/decode.ts';
import { fromJson } from '../../encoding/otlp/from_json.ts';
import type { PartialSuccess } from '../../encoding/otlp/response.ts';
import type { Context, Deliver } from '../../pipeline/component.ts';
import { errorChain, RefusedError } from '../../pipeline/errors.ts';
import { HeldBack } from '../../pipeline/held_back.ts';
import { grpcCode } from '../../wire/grpc_call.ts';
import { Gathering } from './gathering.ts';
import type { OtlpReceiverConfig } from './otlp.ts';

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

type Request = Received & { readonly answer: (outcome: Outcome) => void };

/** What a message is, and the buffer of the pool that it stands in, if it does. */
export type Form = { readonly encoding: 'protobuf' | 'json'; readonly own?: Buffer | undefined };

/** Requests share a batch up to this size: with room for ids, 256 KiB of the pool. */
const togetherBytesMax = 232 * 1024;
/** The bytes of a message, of its batch, and of what is made of it. */
const bytesPerByte = 1.5;
/** What a request takes besides: its stream, and the ends of what was read with it. */
const requestBytes = 8 * 1024;
/** What a sender is asked to wait when there is no room. */
const overloadedMs = 1000;
/** Requests that wait for room are in memory, too: beyond this they are refused at once. */
const waitingBytesMax = 8 * 1024 * 1024;
/** After this long without a refusal the pipeline counts as keeping up. */
const calmMs = 30_000;

export class Intake {
  readonly #deliver: Deliver;
  readonly #context: Context;
  readonly #maxWaitMs: number;
  readonly #decoder: OtlpDecoder;
  readonly #gathering: Gathering<Request>;
  readonly #heldBack: HeldBack;
  #waitingBytes = 0;
  #refusedMs: number | undefined;

  constructor(deliver: Deliver, settings: OtlpReceiverConfig, context: Context) {
    this.#deliver = deliver;
    this.#context = context;
    this.#maxWaitMs = settings.max_wait;
    this.#decoder = new OtlpDecoder(settings.access_logs);
    this.#heldBack = new HeldBack(context);
    this.#gathering = new Gathering((requests) => this.#handOver(requests), togetherBytesMax);
  }

  /** Room for a request. `close` it when the request is done with. */
  room(): Room {
    return new Room(this, this.#context);
  }

  /**
   * Delivers the records of a request and says what to answer. `own` is a buffer of the pool that begins with the message
   * and is given away with it. Requests that come in together are delivered together.
   */
  take(message: Buffer, { encoding, own }: Form, answer: (outcome: Outcome) => void): void {
    if (this.#refusedMs !== undefined) this.#calm(this.#refusedMs);
    let protobuf = message;
    if (encoding === 'json') {
      const read = fromJson(message.toString());
      if ('problem' in read) {
        return answer(invalid(`the request is no OTLP/JSON: ${read.problem}`));
      }
      protobuf = read.bytes;
    }
    this.#gathering.add({ message: protobuf, own, answer }, protobuf.length);
  }

  /** Never rejects. */
  async #handOver(requests: readonly Request[]): Promise<void> {
    // The messages live on in the batch only.
    const answers = requests.map(({ answer }) => answer);
    let decoded: Decoded;
    try {
      decoded = this.#decoder.decode(requests, this.#context.now());
    } catch (error) {
      // A defect of ours.
      const failure = failed(grpcCode.INTERNAL, errorChain(error), 'defect');
      for (const answer of answers) answer(failure);
      return;
    }
    const failure = await this.#delivered(decoded);
    for (let i = 0; i < answers.length; i++) {
      const { records, rejected } = decoded.readings[i]!;
      answers[i]!(
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

  /** Waits for room. Undefined: it was taken. */
  async wait(bytes: number): Promise<Failure | undefined> {
    const others = this.#heldBack.waiting > 0;
    if (others && this.#waitingBytes + bytes > waitingBytesMax) return this.#refuse();
    this.#heldBack.begin();
    this.#waitingBytes += bytes;
    const inTime = await this.#takeInTime(bytes);
    this.#waitingBytes -= bytes;
    this.#heldBack.end();
    return inTime ? undefined : this.#refuse();
  }

  async #takeInTime(bytes: number): Promise<boolean> {
    const { budget } = this.#context;
    let late = false;
    const taken = budget.take(bytes).then(() => {
      // Nobody waits for it any more.
      if (late) budget.give(bytes);
      return true;
    });
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), this.#maxWaitMs);
    });
    const inTime = await Promise.race([taken, deadline]);
    clearTimeout(timer);
    late = !inTime;
    return inTime;
  }

  #calm(refusedMs: number): void {
    if (this.#context.now() - refusedMs < calmMs) return;
    this.#refusedMs = undefined;
    this.#context.log.info('has room for all requests again');
  }

  #refuse(): Failure {
    if (this.#refusedMs === undefined) {
      this.#context.log.warn(
        'refuses requests for now: the pipeline cannot take more; senders are asked to wait',
      );
    }
    this.#refusedMs = this.#context.now();
    return {
      kind: 'failed',
      code: grpcCode.UNAVAILABLE,
      message: 'no room for the request at the moment',
      reason: 'no_room',
      retryAfterMs: overloadedMs,
    };
  }
}

/** What one request holds of the budget. */
export class Room {
  readonly #intake: Intake;
  readonly #context: Context;
  #askedBytes = 0;
  #heldBytes = 0;
  #closed = false;

  constructor(intake: Intake, context: Context) {
    this.#intake = intake;
    this.#context = context;
  }

  /** Makes room for a message of so many bytes in all. Undefined, at once or later: there is room. */
  reserve(messageBytes: number): undefined | Promise<Failure | undefined> {
    const missing = requestBytes + Math.ceil(messageBytes * bytesPerByte) - this.#askedBytes;
    if (missing <= 0) return undefined;
    this.#askedBytes += missing;
    const { budget } = this.#context;
    if (budget.tryTake(missing)) {
      this.#heldBytes += missing;
      return undefined;
    }
    return this.#intake.wait(missing).then((failure) => {
      if (failure !== undefined) this.#askedBytes -= missing;
      else if (this.#closed) budget.give(missing);
      else this.#heldBytes += missing;
      return failure;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.budget.give(this.#heldBytes);
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
