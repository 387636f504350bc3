// Files that had a path between two looks at it: rotation has given them another name before they were seen.

import { type BigIntStats, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { statOf } from './candidate.ts';
import { isRotatedName } from './rotated_name.ts';

/** The file system's clock goes in steps. */
const clockStepMs = 20;

export type Between = { readonly path: string; readonly stats: BigIntStats };

/**
 * What has a rotated name of `path` and was made after `sinceMs`, in the order in which it was made. Copies of other files
 * may be among it. Nothing where the file system does not know when files were made.
 */
export function madeBetween(path: string, sinceMs: number): Between[] {
  const folder = dirname(path);
  const found: Between[] = [];
  for (const name of namesIn(folder)) {
    const other = join(folder, name);
    if (!isRotatedName(other, path)) continue;
    const stats = statOf(other);
    if (stats?.isFile() && Number(stats.birthtimeMs) > sinceMs - clockStepMs) {
      found.push({ path: other, stats });
    }
  }
  return found.sort((a, b) => Number(a.stats.birthtimeNs - b.stats.birthtimeNs));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Whoever looks for matching files says so.
    return [];
  }
}
