// One process per queue folder.

import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isVolumeTrouble } from '../errors.ts';

const nameOf = (folder: string): string => join(folder, 'lock');

/**
 * Holds the folder for this process. The lock is SQLite's: the kernel gives it back whatever way the process ends.
 * Throws the file system's error when the folder cannot be written to: SQLite's would not say why.
 */
export function lockFolder(folder: string): DatabaseSync {
  accessSync(folder, constants.W_OK | constants.X_OK);
  if (existsSync(nameOf(folder))) accessSync(nameOf(folder), constants.R_OK | constants.W_OK);
  // Somebody who only asks whether the folder is held holds it for a moment.
  const lock = new DatabaseSync(nameOf(folder), { timeout: 200 });
  try {
    // Without a journal on disk: a queue that has filled its volume has to be opened, or it would never be emptied.
    lock.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (isVolumeTrouble(error))
      throw new Error(`cannot lock the queue in ${folder}`, { cause: error });
    throw new Error(`another process uses the queue in ${folder}`, { cause: error });
  }
  return lock;
}

/** Whether a process holds the folder now. */
export function isHeld(folder: string): boolean {
  if (!existsSync(nameOf(folder))) return false;
  const lock = new DatabaseSync(nameOf(folder), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE; ROLLBACK');
    return false;
  } catch {
    return true;
  } finally {
    lock.close();
  }
}
