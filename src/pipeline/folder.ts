// Folders that components make for their own files.

import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and what is missing above it; an existing one is fine. Returns whether it was made. Rejects with the
 * file system's error. Node's own `recursive` never comes back from places like /proc, where a missing folder cannot be
 * made.
 */
export async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    try {
      await mkdir(path);
    } catch (again) {
      if ((again as NodeJS.ErrnoException).code !== 'EEXIST') throw again;
    }
  }
  return true;
}

/** Makes a folder whose name survives a power cut. */
export async function makeLastingFolder(path: string): Promise<void> {
  await makeFolder(path);
  await syncFolder(dirname(path));
}

/** Forces the names in a folder to disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await folder.sync().finally(() => folder.close());
}
