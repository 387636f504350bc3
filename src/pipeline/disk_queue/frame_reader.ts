// From disk to batches, in order. What was committed lately is still in memory and need not be read back.

import type { Counter } from '../../telemetry/metrics.ts';
import type { Batch } from '../batch.ts';
import { buffers, slackBytes } from '../buffers.ts';
import type { Context } from '../component.ts';
import { errorChain } from '../errors.ts';
import { readSnapshot } from '../snapshot.ts';
import { Fresh } from './fresh.ts';
import type { Committed, Outcome } from './puts.ts';
import type { ReadResult, Segments } from './segments.ts';
import type { Position } from './state.ts';

export type QueuedFrame = {
  readonly batch: Batch;
  readonly records: number;
  readonly segment: number;
  /** Ends its use. Unless it is delivered somebody may still look at it: its memory is the garbage collector's. */
  readonly done: (outcome: Outcome) => void;
};

export class FrameReader {
  /** Where the next frame begins. */
  position: Position;
  readonly #segments: Segments;
  readonly #context: Context;
  readonly #damaged: Counter;
  /** What comes next, as far as it is still in memory. */
  readonly fresh = new Fresh();

  constructor(segments: Segments, position: Position, context: Context) {
    this.#segments = segments;
    this.position = position;
    this.#context = context;
    this.#damaged = context.metrics.counter(
      'meshlog_queue_damaged_bytes_total',
      'Bytes of the disk queue that were damaged and skipped.',
      { exporter: context.id },
    );
  }

  /** Bytes on disk that were not read yet. */
  get unreadBytes(): number {
    return this.#segments.bytesAfter(this.position);
  }

  /** Takes over what was committed. `isAway`: the peer is. */
  committed(frames: readonly Committed[], isAway: boolean): void {
    const bytes = frames.reduce((sum, { length }) => sum + length, 0);
    this.fresh.add(frames, { unreadBytes: this.unreadBytes - bytes, isAway });
  }

  /** Goes to `position` without delivering what lies before it. */
  skipTo(position: Position): void {
    this.position = position;
    this.fresh.skipBefore(position);
  }

  /** The next whole frame; what is damaged before it is skipped and counted. Rejects when the disk cannot be read. */
  async next(): Promise<QueuedFrame | undefined> {
    for (;;) {
      const fresh = this.#takeFresh();
      if (fresh !== undefined) return fresh;
      const result = await this.#segments.read(this.position);
      if (result.kind === 'end') return undefined;
      const { segment } = result.kind === 'frame' ? result.next : this.position;
      this.position = result.next;
      if (result.kind === 'damaged') {
        this.#skipped(result);
        continue;
      }
      const { payload, header } = result;
      try {
        const batch = readSnapshot(withSlack(payload), 0, payload.length);
        return {
          batch,
          records: header.records,
          segment,
          done: (outcome) => {
            if (outcome === 'delivered') recycle(batch);
          },
        };
      } catch (error) {
        this.#damaged.add(payload.length);
        this.#context.drop('queue_damaged', header.records);
        this.#context.log.error(
          `${header.records} records of the disk queue cannot be read: ${errorChain(error)}`,
        );
      }
    }
  }

  #takeFresh(): QueuedFrame | undefined {
    const { start } = this.fresh;
    // What lies before it is read from disk first.
    if (start === undefined || this.unreadBytes > this.#segments.bytesAfter(start))
      return undefined;
    const fresh = this.fresh.take();
    if (fresh === undefined) return undefined;
    const { batch, records, at, length } = fresh;
    this.position = { segment: at.segment, offset: at.offset + length };
    return {
      batch,
      records,
      segment: at.segment,
      done: (outcome) => this.fresh.done(fresh, outcome === 'delivered'),
    };
  }

  #skipped({ bytes, records, torn }: Extract<ReadResult, { kind: 'damaged' }>): void {
    const { log, drop } = this.#context;
    if (torn) {
      log.info('the disk queue ends in an unfinished write, which nobody was promised');
      return;
    }
    this.#damaged.add(bytes);
    if (records > 0) drop('queue_damaged', records);
    log.error(`${bytes} damaged bytes of the disk queue were skipped`);
  }
}

function recycle(batch: Batch): void {
  const { bytes } = batch;
  batch.release();
  buffers.giveWhole(bytes);
}

/** The same bytes with what lies behind them in memory: frames are made with slack that their length does not show. */
function withSlack(bytes: Buffer): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length + slackBytes);
}
