// A queue folder looked at from outside, while no daemon runs on it or beside one that does: what waits, and whether it
// is whole.

import { join } from 'node:path';
import type { Batch } from '../batch.ts';
import { slackBytes } from '../buffers.ts';
import { readSnapshot } from '../snapshot.ts';
import { headerBytes, sealFrame } from './frame.ts';
import { isHeld, lockFolder } from './lock.ts';
import { type ReadResult, Segments } from './segments.ts';
import { readPosition, StateFile } from './state.ts';

export type QueueReport = {
  readonly folder: string;
  readonly segments: number;
  readonly bytes: number;
  readonly batches: number;
  readonly records: number;
  readonly damagedBytes: number;
  /** Whether a process holds the folder now. */
  readonly inUse: boolean;
};

/** Everything that is not yet delivered, in order, damaged stretches included. */
export async function* readQueue(folder: string): AsyncGenerator<ReadResult> {
  const segments = await Segments.open(folder);
  try {
    let at = readPosition(join(folder, 'state')) ?? { segment: segments.first ?? 0, offset: 0 };
    for (;;) {
      const result = await segments.read(at);
      if (result.kind === 'end') return;
      yield result;
      at = result.next;
    }
  } finally {
    await segments.close();
  }
}

export async function inspectQueue(folder: string): Promise<QueueReport> {
  let batches = 0;
  let records = 0;
  let bytes = 0;
  let damagedBytes = 0;
  for await (const result of readQueue(folder)) {
    if (result.kind === 'frame') {
      batches++;
      records += result.header.records;
      bytes += result.header.length + headerBytes;
    } else if (result.kind === 'damaged' && !result.torn) damagedBytes += result.bytes;
  }
  const segments = (await Segments.open(folder)).sizes.size;
  return { folder, segments, bytes, batches, records, damagedBytes, inUse: isHeld(folder) };
}

/** The batches that wait, whole ones only. */
export async function* queuedBatches(folder: string): AsyncGenerator<Batch> {
  for await (const result of readQueue(folder)) {
    if (result.kind === 'frame') yield batchOf(result.payload);
  }
}

/**
 * Writes what is whole anew and removes the rest, so that the next start finds no damage. Rejects while a daemon holds
 * the folder. Nothing that could be read is lost, whenever this is interrupted.
 */
export async function repairQueue(folder: string): Promise<{ kept: number; damagedBytes: number }> {
  const lock = lockFolder(folder);
  const state = new StateFile(join(folder, 'state'));
  const segments = await Segments.open(folder);
  try {
    let kept = 0;
    let damagedBytes = 0;
    let at = state.initial ?? { segment: segments.first ?? 0, offset: 0 };
    const last = [...segments.sizes.keys()].at(-1) ?? 0;
    await segments.begin(Math.max(last, at.segment));
    for (;;) {
      const result = await segments.read(at);
      if (result.kind === 'end' || result.next.segment > last) break;
      at = result.next;
      if (result.kind === 'frame') {
        const header = Buffer.alloc(headerBytes);
        sealFrame(header, result.payload, result.header.records);
        await segments.append([header, result.payload], 64 << 20);
        kept += result.header.records;
      } else damagedBytes += result.bytes;
    }
    state.write({ segment: last + 1, offset: 0 });
    await state.sync();
    await segments.removeBefore(last + 1);
    return { kept, damagedBytes };
  } finally {
    await segments.close();
    state.close();
    lock.close();
  }
}

function batchOf(payload: Buffer): Batch {
  const whole = Buffer.from(payload.buffer, payload.byteOffset, payload.length + slackBytes);
  return readSnapshot(whole, 0, payload.length);
}
