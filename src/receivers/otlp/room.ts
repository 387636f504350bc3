// Room for requests: what each holds of the budget, and for how long it waits for that.

import type { Share, Waiter } from '../../pipeline/budget.ts';
import type { Context } from '../../pipeline/component.ts';
import { HeldBack } from '../../pipeline/held_back.ts';
import { grpcCode } from '../../wire/grpc_call.ts';
import type { Failure } from './intake.ts';

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

type Wait = {
  readonly bytes: number;
  readonly untilMs: number;
  readonly waiter: Waiter;
  /** Undefined: the room was taken. */
  readonly settle: (failure: Failure | undefined) => void;
};

export class Rooms {
  readonly #context: Context;
  readonly #maxWaitMs: number;
  readonly #heldBack: HeldBack;
  /** Whose time ends first, first: all wait equally long. */
  readonly #waiting = new Set<Wait>();
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #refusedMs: number | undefined;

  constructor(maxWaitMs: number, context: Context) {
    this.#context = context;
    this.#maxWaitMs = maxWaitMs;
    this.#heldBack = new HeldBack(context);
  }

  /** @internal */ get budget(): Share {
    return this.#context.budget;
  }

  /** @internal Waits for room. Undefined: it was refused at once. */
  wait(bytes: number, settle: Wait['settle']): Wait | undefined {
    if (this.#waiting.size > 0 && this.#waitingBytes + bytes > waitingBytesMax) {
      settle(this.#refuse());
      return undefined;
    }
    const waiter = this.budget.wait(bytes, () => {
      this.#end(wait);
      settle(undefined);
    });
    const wait = { bytes, untilMs: performance.now() + this.#maxWaitMs, waiter, settle };
    this.#heldBack.begin();
    this.#waiting.add(wait);
    this.#waitingBytes += bytes;
    this.#timer ??= setTimeout(() => this.#refuseLate(), this.#maxWaitMs);
    return wait;
  }

  /** @internal Nobody waits any more. */
  forget(wait: Wait): void {
    this.budget.forget(wait.waiter);
    this.#end(wait);
  }

  /** A request has found room. */
  found(): void {
    if (this.#refusedMs === undefined || this.#context.now() - this.#refusedMs < calmMs) return;
    this.#refusedMs = undefined;
    this.#context.log.info('has room for all requests again');
  }

  #end(wait: Wait): void {
    this.#waiting.delete(wait);
    this.#waitingBytes -= wait.bytes;
    this.#heldBack.end();
    if (this.#waiting.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** One timer for all that wait. */
  #refuseLate(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const wait of this.#waiting) {
      if (wait.untilMs > nowMs) {
        this.#timer = setTimeout(() => this.#refuseLate(), wait.untilMs - nowMs);
        return;
      }
      this.forget(wait);
      wait.settle(this.#refuse());
    }
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

/** What one request holds of the budget. `close` it when the request is done with. */
export class Room {
  readonly #rooms: Rooms;
  #heldBytes = 0;
  #wait: Wait | undefined;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
  }

  /** Makes room for a message of so many bytes in all. Undefined, at once or later: there is room. */
  reserve(messageBytes: number): undefined | Promise<Failure | undefined> {
    const missing = requestBytes + Math.ceil(messageBytes * bytesPerByte) - this.#heldBytes;
    if (missing <= 0) return undefined;
    if (!this.#rooms.budget.tryTake(missing)) return this.#waitFor(missing);
    this.#heldBytes += missing;
    return undefined;
  }

  #waitFor(bytes: number): Promise<Failure | undefined> {
    return new Promise((resolve) => {
      this.#wait = this.#rooms.wait(bytes, (failure) => {
        this.#wait = undefined;
        if (failure === undefined) this.#heldBytes += bytes;
        resolve(failure);
      });
    });
  }

  /** What waits for room then waits for ever. */
  close(): void {
    if (this.#wait !== undefined) this.#rooms.forget(this.#wait);
    this.#wait = undefined;
    if (this.#heldBytes > 0) this.#rooms.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
