// Files that their path has left while nobody held them open, or that were emptied after a copy was made: what is unread
// of them stands under another name, which the patterns need not match.

import { type BigIntStats, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Admission, AdmissionOptions } from './admission.ts';
import {
  type Candidate,
  closeCandidate,
  copyIsLikely,
  isSame,
  openCandidate,
  statOf,
} from './candidate.ts';
import { isRotatedName } from './rotated_name.ts';
import type { Tailed } from './tailed.ts';

const namesMax = 5000;

export class Recovery {
  readonly #options: AdmissionOptions;
  readonly #admission: Admission;

  constructor(options: AdmissionOptions, admission: Admission) {
    this.#options = options;
    this.#admission = admission;
  }

  /** Looks for lost files next to where they were, and reads those it finds to their end. Returns the others. */
  async find(lost: readonly Tailed[]): Promise<Tailed[]> {
    const byFolder = Map.groupBy(lost, (file) => dirname(file.path));
    const missing: Tailed[] = [];
    for (const [folder, files] of byFolder) {
      const names = namesIn(folder);
      const stats = new Map<string, BigIntStats>();
      for (const name of names) {
        const found = statOf(join(folder, name));
        if (found?.isFile() === true) stats.set(join(folder, name), found);
      }
      for (const file of files) if (!(await this.#findOne(file, stats))) missing.push(file);
    }
    return missing;
  }

  async #findOne(file: Tailed, around: ReadonlyMap<string, BigIntStats>): Promise<boolean> {
    // The file itself under another name; else a copy, which has a name to tell.
    for (const [path, { dev, ino }] of around) {
      if (file.emptied) break;
      if (dev === file.dev && ino === file.ino && (await this.#try(file, path))) return true;
    }
    for (const [path, { dev, ino }] of around) {
      if (dev === file.dev && ino === file.ino) continue;
      if (isRotatedName(path, file.path) && (await this.#try(file, path))) return true;
    }
    return false;
  }

  async #try(file: Tailed, path: string): Promise<boolean> {
    const { known, handles, settings, context } = this.#options;
    let candidate: Candidate | undefined;
    try {
      candidate = await openCandidate(handles, path, {
        compression: 'auto',
        headBytes: settings.fingerprint_size,
      });
      if (candidate === undefined) return false;
      if (known.followed(candidate.dev, candidate.ino) === undefined) {
        const itself = candidate.dev === file.dev && candidate.ino === file.ino;
        if ((itself || copyIsLikely(candidate, file)) && (await isSame(candidate, file))) {
          this.#admission.resume(file, candidate);
          known.leave(file, context.now());
          this.#options.onUnread(file);
          return true;
        }
      }
    } catch {
      // Not readable, or no gzip after all: then it is not the file.
    }
    if (candidate !== undefined) closeCandidate(candidate);
    return false;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).slice(0, namesMax);
  } catch {
    return [];
  }
}
