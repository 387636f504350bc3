// Frames that leave together.

import { enoughBytes, type QueueSettings } from '../queue.ts';
import type { FrameReader, QueuedFrame } from './frame_reader.ts';
import type { Intake } from './intake.ts';
import type { Position } from './state.ts';

/** Frames that go out as one export. */
export type Group = {
  readonly frames: QueuedFrame[];
  /** Where its first frame is; Infinity: none of them is on disk. */
  segment: number;
  readonly abort: AbortController;
  records: number;
  sinceMs: number;
  /** The position after what is on disk of it. */
  end: Position | undefined;
  /** Frames of it that are being written at the moment. */
  writing: number;
  /** The disk could not be read further. */
  failed: boolean;
  /** kept: the process stops, the frames stay on disk. */
  state: 'sending' | 'done' | 'kept';
};

function newGroup(nowMs: number): Group {
  return {
    frames: [],
    segment: Number.POSITIVE_INFINITY,
    abort: new AbortController(),
    records: 0,
    sinceMs: nowMs,
    end: undefined,
    writing: 0,
    failed: false,
    state: 'sending',
  };
}

/** What makes one export of what is not on disk. */
export function takeGroup(intake: Intake, settings: QueueSettings['batch'], nowMs: number): Group {
  const group = newGroup(nowMs);
  const enough = enoughBytes(settings);
  for (let bytes = 0; bytes < enough; ) {
    if (bytes > 0 && bytes + intake.nextBytes > settings.max_size) break;
    const put = intake.take(group);
    if (put === undefined) break;
    const { batch, records, sinceMs } = put;
    group.frames.push({
      batch,
      records,
      segment: group.segment,
      done: (outcome) => intake.done(put, outcome),
    });
    group.records += records;
    group.sinceMs = Math.min(group.sinceMs, sinceMs);
    bytes += Math.max(1, batch.length);
  }
  return group;
}

/** Reads what makes one export, from where the reader is. Rejects when not even the first frame can be read. */
export async function readGroup(
  reader: FrameReader,
  settings: QueueSettings['batch'],
  nowMs: number,
): Promise<Group> {
  const group = newGroup(nowMs);
  const enough = enoughBytes(settings);
  try {
    // The next one is taken to be as large as the last.
    for (
      let bytes = 0, last = 0;
      bytes < enough && bytes + last <= settings.max_size;
      bytes += last
    ) {
      const frame = await reader.next();
      if (frame === undefined) break;
      const { batch, records, segment } = frame;
      group.segment = Math.min(group.segment, segment);
      group.frames.push(frame);
      group.records += records;
      group.end = reader.position;
      group.sinceMs = Math.min(group.sinceMs, batch.observedMs || group.sinceMs);
      last = Math.max(1, batch.length);
    }
  } catch (error) {
    if (group.frames.length === 0) throw error;
    group.failed = true;
  }
  return group;
}
