// Offers a batch until it is taken over.

import { setTimeout as delay } from 'node:timers/promises';
import type { Batch } from '../../pipeline/batch.ts';
import type { Context, Counter, Deliver } from '../../pipeline/component.ts';
import { errorChain, RefusedError } from '../../pipeline/errors.ts';

const pauseMinMs = 100;
const pauseMaxMs = 5000;

export type OfferOptions = {
  readonly deliver: Deliver;
  readonly context: Context;
  readonly refusals: Counter;
  /** No further try once it aborts. */
  readonly signal: AbortSignal;
};

/** True when the pipeline has the records, or will never take them; false when they have to be read again. */
export async function offer(batch: Batch, options: OfferOptions): Promise<boolean> {
  const { deliver, context, refusals, signal } = options;
  const { count } = batch;
  for (let pauseMs = pauseMinMs; ; pauseMs = Math.min(pauseMaxMs, 2 * pauseMs)) {
    try {
      await deliver(batch);
      return true;
    } catch (error) {
      refusals.add(1);
      if (signal.aborted) return false;
      if (error instanceof RefusedError && !error.retryable) {
        context.drop('refused', count);
        context.log.error(`${count} records dropped: ${errorChain(error)}`);
        return true;
      }
      const wishMs = error instanceof RefusedError ? (error.retryAfterMs ?? 0) : 0;
      const waitMs = Math.max(wishMs, pauseMs * (0.5 + context.random() / 2));
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return false;
    }
  }
}
