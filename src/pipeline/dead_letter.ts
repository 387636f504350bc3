// Where records go that an exporter's peer refuses for good: a file of JSON lines, for people and for `meshlog replay`.

import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Batch } from './batch.ts';
import { makeFolder, syncFolder } from './folder.ts';
import { keptLines } from './kept_record.ts';

const attemptsMax = 5;

/** Keeps refused records with the reason. Without a path it keeps nothing, and the caller counts a drop. */
export class DeadLetter {
  readonly path: string | undefined;
  readonly #exporter: string;
  readonly #bytesMax: number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: { path: string | undefined; exporter: string; bytesMax: number }) {
    this.path = options.path;
    this.#exporter = options.exporter;
    this.#bytesMax = options.bytesMax;
  }

  /** Whether the selected rows are on disk now. False: there is no file, it is full, or it cannot be written. */
  keep(batch: Batch, reason: string, error: string): Promise<boolean> {
    const { path } = this;
    if (path === undefined) return Promise.resolve(false);
    const lines = keptLines(batch, { exporter: this.#exporter, reason, error });
    const kept = this.#last.then(() => this.#append(path, lines));
    this.#last = kept;
    return kept;
  }

  async #append(path: string, lines: string): Promise<boolean> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const kept = await this.#appendOnce(path, lines);
      if (kept !== 'moved') return kept;
    }
    return false;
  }

  /** moved: a replay took the file away meanwhile, and may not have seen these lines. */
  async #appendOnce(path: string, lines: string): Promise<boolean | 'moved'> {
    try {
      await makeFolder(dirname(path));
      await using file = await open(path, 'a+', 0o600);
      const { size, ino } = await file.stat();
      const bytes = Buffer.from((await endsTorn(file, size)) ? `\n${lines}` : lines);
      if (size + bytes.length > this.#bytesMax) return false;
      try {
        await file.appendFile(bytes);
        await file.datasync();
      } catch (error) {
        await file.truncate(size);
        throw error;
      }
      if (size === 0) await syncFolder(dirname(path));
      const now = await stat(path).catch(() => undefined);
      return now?.ino === ino ? true : 'moved';
    } catch {
      // The caller counts and reports the records as dropped: nothing more can be done with a broken disk.
      return false;
    }
  }
}

/** Whether an earlier process was killed in the middle of a line. */
async function endsTorn(file: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  await file.read(last, 0, 1, size - 1);
  return last[0] !== 10;
}
