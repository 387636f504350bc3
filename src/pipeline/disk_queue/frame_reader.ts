// From disk to batches, in order. What was committed lately is still in memory and need not be read back.

import type { Counter } from '../../telemetry/metrics.ts';
import type { Batch } from '../batch.ts';
import { buffers, slackBytes } from '../buffers.ts';
import type { Context } from '../component.ts';
import { errorChain } from '../errors.ts';
import { readSnapshot } from '../snapshot.ts';
import { headerBytes } from './frame.ts';
import type { Committed } from './intake.ts';
import type { ReadResult, Segments } from './segments.ts';
import type { Position } from './state.ts';

/** Committed frames kept in memory while the reader keeps up. */
const recentBytesMax = 8 << 20;

export type QueuedFrame = {
  /** Its bytes are a part of a buffer of the pool. */
  readonly batch: Batch;
  readonly records: number;
  readonly segment: number;
};

export class FrameReader {
  /** Where the next frame begins. */
  position: Position;
  readonly #segments: Segments;
  readonly #context: Context;
  readonly #damaged: Counter;
  readonly #recent = new Map<string, Committed>();
  #recentBytes = 0;

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

  remember(committed: Committed): void {
    const { frame, at } = committed;
    if (this.#recentBytes + frame.length > recentBytesMax) {
      buffers.giveWhole(frame);
      return;
    }
    this.#recent.set(`${at.segment}:${at.offset}`, committed);
    this.#recentBytes += frame.length;
  }

  /** Goes to `position` without delivering what lies before it. */
  skipTo(position: Position): void {
    this.position = position;
    for (const [key, { at, frame }] of this.#recent) {
      if (at.segment >= position.segment) continue;
      this.#recent.delete(key);
      this.#recentBytes -= frame.length;
      buffers.giveWhole(frame);
    }
  }

  /** The next whole frame; what is damaged before it is skipped and counted. Rejects when the disk cannot be read. */
  async next(): Promise<QueuedFrame | undefined> {
    for (;;) {
      const recent = this.#takeRecent();
      if (recent !== undefined) return recent;
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
        return { batch, records: header.records, segment };
      } catch (error) {
        this.#damaged.add(payload.length);
        this.#context.drop('queue_damaged', header.records);
        this.#context.log.error(
          `${header.records} records of the disk queue cannot be read: ${errorChain(error)}`,
        );
      }
    }
  }

  #takeRecent(): QueuedFrame | undefined {
    const { segment, offset } = this.position;
    const key = `${segment}:${offset}`;
    const recent = this.#recent.get(key);
    if (recent === undefined) return undefined;
    const { frame, records } = recent;
    this.#recent.delete(key);
    this.#recentBytes -= frame.length;
    this.position = { segment, offset: offset + frame.length };
    return { batch: readSnapshot(withSlack(frame), headerBytes, frame.length), records, segment };
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

/** Ends the use of batches that were read and are delivered. */
export function recycle(batches: readonly Batch[]): void {
  for (const batch of batches) {
    const { bytes } = batch;
    batch.release();
    buffers.giveWhole(bytes);
  }
}

/** The same bytes with what lies behind them in memory: frames are made with slack that their length does not show. */
function withSlack(bytes: Buffer): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length + slackBytes);
}
