// The system's notifications that something in a folder has changed. Each folder is watched until the first one only:
// files that are written to all the time are looked at all the time anyway, and a notification per line would cost more
// than the line.

import { type FSWatcher, watch } from 'node:fs';
import type { Log } from '../../pipeline/component.ts';

const foldersMax = 4096;

export class Hints {
  readonly #watchers = new Map<string, FSWatcher>();
  #changed = new Set<string>();
  readonly #onChange: () => void;
  readonly #log: Log;
  #unable = false;

  constructor(log: Log, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Folders of which something was heard since the last time. They are no longer watched. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** Watches exactly these folders from now on. */
  watch(folders: ReadonlySet<string>): void {
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of folders) {
      if (this.#unable || this.#watchers.size >= foldersMax) return;
      if (!this.#watchers.has(folder)) this.#add(folder);
    }
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #add(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#heard(folder));
      watcher.on('error', () => this.#heard(folder));
      this.#watchers.set(folder, watcher);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'EACCES') return;
      // Out of watches, or a file system without them: looking is enough.
      this.#unable = true;
      this.#log.info(`no notifications of changes (${message}); files are looked at only`);
    }
  }

  #heard(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
    this.#changed.add(folder);
    this.#onChange();
  }
}
