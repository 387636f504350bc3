// Paths of the configuration that do not exist: a file that is named, or the folder that a pattern begins in. Said when
// it is noticed and when it is over; they are looked for all the time anyway.

import { statSync } from 'node:fs';
import type { Context } from '../../pipeline/component.ts';

const lookEveryMs = 1000;

export class Missing {
  readonly #context: Context;
  readonly #needed: readonly string[];
  #paths = new Set<string>();
  #lookAtMs = 0;

  constructor(context: Context, needed: readonly string[]) {
    this.#context = context;
    this.#needed = [...new Set(needed)];
  }

  get paths(): readonly string[] {
    return [...this.#paths];
  }

  look(): void {
    const { log, now } = this.#context;
    const nowMs = now();
    if (nowMs < this.#lookAtMs) return;
    this.#lookAtMs = nowMs + lookEveryMs;
    const paths = new Set(this.#needed.filter(isMissing));
    for (const path of paths) {
      if (!this.#paths.has(path)) log.warn(`there is no ${path}; looking for it all the time`);
    }
    for (const path of this.#paths) if (!paths.has(path)) log.info(`${path} is there now`);
    this.#paths = paths;
  }
}

function isMissing(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    // No permission: that is said where it is read.
    return false;
  }
}
