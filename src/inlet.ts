// Where a receiver's batches come in: they wait while pipelines change, and can be taken leave of when the receiver has
// to go before they are delivered.

import type { Batch } from './pipeline/batch.ts';
import type { Deliver } from './pipeline/component.ts';
import { RefusedError } from './pipeline/errors.ts';

type Waiting = { readonly batch: Batch; readonly reject: (error: Error) => void };

export class Inlet {
  readonly #edge: Deliver;
  readonly #gate: () => Promise<void> | undefined;
  readonly #waiting = new Set<Waiting>();
  #closed = false;

  /** `gate`: what deliveries wait for, if anything. */
  constructor(edge: Deliver, gate: () => Promise<void> | undefined) {
    this.#edge = edge;
    this.#gate = gate;
  }

  readonly deliver: Deliver = async (batch) => {
    for (let gate = this.#gate(); gate !== undefined; gate = this.#gate()) await gate;
    if (this.#closed) throw leaving();
    await new Promise<void>((resolve, reject) => {
      const waiting = { batch, reject };
      this.#waiting.add(waiting);
      this.#edge(batch).then(
        () => {
          this.#waiting.delete(waiting);
          resolve();
        },
        (error: Error) => {
          this.#waiting.delete(waiting);
          reject(error);
        },
      );
    });
  };

  /**
   * Refuses everything that is not acknowledged, now and from now on. The queues may still hold it and deliver it: so its
   * source will deliver it once more, and its memory is left to the garbage collector.
   */
  close(): void {
    this.#closed = true;
    for (const { batch, reject } of this.#waiting) {
      batch.abandoned = true;
      reject(leaving());
    }
    this.#waiting.clear();
  }
}

const leaving = (): RefusedError =>
  new RefusedError('the receiver is being replaced', { retryable: true });
