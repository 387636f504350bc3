// One process per queue folder.

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Holds the folder for this process. The lock is SQLite's: the kernel gives it back whatever way the process ends. */
export function lockFolder(folder: string): DatabaseSync {
  const lock = new DatabaseSync(join(folder, 'lock'));
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    throw new Error(`another process uses the queue in ${folder}`, { cause: error });
  }
  return lock;
}
