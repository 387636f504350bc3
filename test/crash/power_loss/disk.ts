// What a disk may hold after the power fails: everything that was forced to it, and of the rest any part.

import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { FileEvent } from './events.ts';

/** Disks write whole sectors. */
const sectorBytes = 512;

/** What becomes of each write that was not forced to disk; `any` mixes them. */
export const fates = ['lost', 'kept', 'torn', 'zeros', 'any'] as const;
export type Fate = (typeof fates)[number];

/** [0, 1), the same sequence for the same seed (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Files by name. */
export type Files = ReadonlyMap<string, Buffer>;

/** A recording, and when each operation of it was over. */
export class Recording {
  readonly events: readonly FileEvent[];
  /** Index of the event with which an operation ended. */
  readonly #ends = new Map<number, number>();

  constructor(events: readonly FileEvent[]) {
    this.events = events;
    for (const [index, event] of events.entries()) {
      if (event.kind === 'end') this.#ends.set(event.op, index);
    }
  }

  endOf(op: number): number {
    return this.#ends.get(op) ?? Number.POSITIVE_INFINITY;
  }

  /** The files when everything has happened: what the recorded process must have left. */
  whole(): Files {
    return new Cut(this, this.events.length).files('kept', () => 0);
  }
}

/** The moment before event `at`. */
export class Cut {
  readonly #recording: Recording;
  readonly #events: readonly FileEvent[];
  /** Index of the last event with which forcing a file (the folder: 0) to disk began that was over by then. */
  readonly #forced = new Map<number, number>();

  constructor(recording: Recording, at: number) {
    this.#recording = recording;
    // What was there before is there at any moment.
    const bases = recording.events.findIndex(({ kind }) => kind !== 'base');
    this.#events = recording.events.slice(0, Math.max(at, bases));
    for (const [begin, event] of this.#events.entries()) {
      if (event.kind !== 'sync' && event.kind !== 'sync_folder') continue;
      const file = event.kind === 'sync' ? event.file : 0;
      if (recording.endOf(event.op) < at) this.#forced.set(file, begin);
    }
  }

  /** One of the contents that the folder may have then. */
  files(fate: Fate, random: () => number): Files {
    const contents = this.#contents(fate, random);
    const names = new Map<string, number>();
    const happens = ({ op }: { op: number }): boolean =>
      this.#isForced(op, 0) || fate === 'kept' || (fate !== 'lost' && random() < 0.5);
    for (const event of this.#events) {
      if (event.kind === 'base') names.set(event.path, event.file);
      else if (event.kind === 'create' && happens(event)) names.set(event.path, event.file);
      else if (event.kind === 'unlink' && happens(event)) names.delete(event.path);
      else if (event.kind === 'rename' && happens(event)) {
        const file = names.get(event.from);
        names.delete(event.from);
        if (file !== undefined) names.set(event.to, file);
      }
    }
    return new Map(
      [...names].map(([path, file]) => [basename(path), contents.get(file) ?? Buffer.alloc(0)]),
    );
  }

  /** What marks said before the cut: ids by what happened to them. */
  marks(): Map<string, Set<number>> {
    const marks = new Map<string, Set<number>>();
    for (const event of this.#events) {
      if (event.kind !== 'mark') continue;
      const ids = marks.get(event.what) ?? new Set();
      marks.set(event.what, ids.add(event.id));
    }
    return marks;
  }

  #contents(fate: Fate, random: () => number): Map<number, Buffer> {
    const contents = new Map<number, Buffer>();
    for (const event of this.#events) {
      if (event.kind === 'base') contents.set(event.file, event.data);
      if (event.kind !== 'write' && event.kind !== 'truncate') continue;
      const becomes = this.#isForced(event.op, event.file) ? 'kept' : pick(fate, random);
      const before = contents.get(event.file) ?? Buffer.alloc(0);
      if (event.kind === 'write') contents.set(event.file, written(before, event, becomes, random));
      else if (becomes !== 'lost') contents.set(event.file, resized(before, event.size));
    }
    return contents;
  }

  /** Whether an operation was over when its file was forced to disk. */
  #isForced(op: number, file: number): boolean {
    return (this.#forced.get(file) ?? -1) > this.#recording.endOf(op);
  }
}

function pick(fate: Fate, random: () => number): Fate {
  if (fate !== 'any') return fate;
  return fates[Math.floor(random() * (fates.length - 1))] as Fate;
}

type Write = { readonly offset: number; readonly data: Buffer };

function written(before: Buffer, write: Write, fate: Fate, random: () => number): Buffer {
  if (fate === 'lost') return before;
  const { offset, data } = write;
  const after = resized(before, Math.max(before.length, offset + data.length));
  if (fate === 'kept') data.copy(after, offset);
  if (fate !== 'torn') return after;
  for (let at = offset; at < offset + data.length; ) {
    const next = Math.min(offset + data.length, (Math.floor(at / sectorBytes) + 1) * sectorBytes);
    if (random() < 0.5) data.copy(after, at, at - offset, next - offset);
    at = next;
  }
  return after;
}

function resized(bytes: Buffer, size: number): Buffer {
  const resized = Buffer.alloc(size);
  bytes.copy(resized);
  return resized;
}

export function putFiles(folder: string, files: Files): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
}
