// Where records go that an exporter's peer refuses for good: a file of JSON lines, for people and for `meshlog replay`.

import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Batch } from './batch.ts';
import { jsonSafe } from './batch.ts';
import { makeFolder } from './folder.ts';

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
    const lines = linesOf(batch, { exporter: this.#exporter, reason, error });
    const kept = this.#last.then(() => this.#append(path, lines));
    this.#last = kept;
    return kept;
  }

  async #append(path: string, lines: string): Promise<boolean> {
    try {
      await makeFolder(dirname(path));
      await using file = await open(path, 'a', 0o600);
      const { size } = await file.stat();
      if (size + lines.length > this.#bytesMax) return false;
      await file.appendFile(lines);
      await file.datasync();
      return true;
    } catch {
      // The caller counts and reports the records as dropped: nothing more can be done with a broken disk.
      return false;
    }
  }
}

function linesOf(batch: Batch, facts: { exporter: string; reason: string; error: string }): string {
  let text = '';
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i] ?? 0;
    text += `${JSON.stringify({ ...facts, record: batch.record(row) }, jsonSafe)}\n`;
  }
  return text;
}
