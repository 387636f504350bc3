// Where records go that an exporter's peer refuses for good: a file of JSON lines, for people and for `meshlog replay`.

import { type FileHandle, open, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Degraded } from '../telemetry/degraded.ts';
import type { Batch } from './batch.ts';
import { errorChain } from './errors.ts';
import { makeFolder, syncFolder } from './folder.ts';
import { keptLines } from './kept_record.ts';

const attemptsMax = 5;
/** How often a file that could not be written is looked at again. */
const lookAgainMs = 2000;
/** Less room than this on a volume is none. */
const roomBytes = 1 << 20;
const unwritable = 'cannot write the dead letter file, what the peer refuses is dropped';

/** Keeps refused records with the reason. Without a path it keeps nothing, and the caller counts a drop. */
export class DeadLetter {
  readonly path: string | undefined;
  readonly #exporter: string;
  readonly #bytesMax: number;
  readonly #degraded: Degraded | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `degraded` is told while the file cannot be written. */
  constructor(options: {
    path: string | undefined;
    exporter: string;
    bytesMax: number;
    degraded?: Degraded;
  }) {
    this.path = options.path;
    this.#degraded = options.degraded;
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

  /** Looks no more whether the file can be written again. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
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
      if (size + bytes.length > this.#bytesMax) {
        this.#failed(path, `${path} has its full size, ${this.#bytesMax} bytes`);
        return false;
      }
      try {
        await file.appendFile(bytes);
        await file.datasync();
      } catch (error) {
        await file.truncate(size);
        throw error;
      }
      if (size === 0) await syncFolder(dirname(path));
      this.#degraded?.end(unwritable);
      const now = await stat(path).catch(() => undefined);
      return now?.ino === ino ? true : 'moved';
    } catch (error) {
      // The caller counts and reports the records as dropped: nothing more can be done with a broken disk.
      this.#failed(path, errorChain(error));
      return false;
    }
  }

  #failed(path: string, why: string): void {
    this.#degraded?.begin(unwritable, why);
    this.#lookLater(path);
  }

  /** Nobody may be refused anything for long: the end of the trouble is looked for. */
  #lookLater(path: string): void {
    if (this.#isClosed || this.#degraded === undefined) return;
    this.#timer ??= setTimeout(async () => {
      const isWell = await this.#isWritable(path);
      this.#timer = undefined;
      if (isWell) this.#degraded?.end(unwritable);
      else this.#lookLater(path);
    }, lookAgainMs).unref();
  }

  async #isWritable(path: string): Promise<boolean> {
    try {
      await makeFolder(dirname(path));
      await using file = await open(path, 'a', 0o600);
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize >= roomBytes && (await file.stat()).size < this.#bytesMax;
    } catch {
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
