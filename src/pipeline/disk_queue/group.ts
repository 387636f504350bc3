// Frames that leave together.

import { enoughBytes, type QueueSettings } from '../queue.ts';
import type { FrameReader, QueuedFrame } from './frame_reader.ts';
import type { Position } from './state.ts';

/** Frames that go out as one export; `end` is the position after them. */
export type Group = {
  readonly frames: QueuedFrame[];
  /** Where its first frame is. */
  segment: number;
  readonly abort: AbortController;
  records: number;
  sinceMs: number;
  end: Position;
  /** The disk could not be read further. */
  failed: boolean;
  /** kept: the process stops, the frames stay on disk. */
  state: 'sending' | 'done' | 'kept';
};

/** Reads what makes one export, from where the reader is. Rejects when not even the first frame can be read. */
export async function readGroup(
  reader: FrameReader,
  settings: QueueSettings['batch'],
  nowMs: number,
): Promise<Group> {
  const group: Group = {
    frames: [],
    segment: reader.position.segment,
    abort: new AbortController(),
    records: 0,
    sinceMs: nowMs,
    end: reader.position,
    failed: false,
    state: 'sending',
  };
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
      if (group.frames.length === 0) group.segment = segment;
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
