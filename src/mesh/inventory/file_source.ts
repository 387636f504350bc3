// An inventory file: read at the start, read again when it changes. A file that cannot be used leaves what the last good
// one said.

import { readFileSync, statSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { Counter, Log } from '../../pipeline/component.ts';
import { errorChain } from '../../pipeline/errors.ts';
import type { Claim } from './claim.ts';
import { readDocument } from './resources.ts';
import type { OwnerStore } from './store.ts';

const fileBytesMax = 256 * 1024 * 1024;
const problemsShown = 3;

export type FileSourceOptions = {
  readonly path: string;
  readonly store: OwnerStore;
  readonly log: Log;
  readonly failures: Counter;
  readonly now: () => number;
};

export class FileSource {
  readonly #options: FileSourceOptions;
  readonly #prefix: string;
  #version = '';
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(options: FileSourceOptions) {
    this.#options = options;
    this.#prefix = `file/${options.path}#`;
  }

  /** Reads the file for the first time. Throws when it cannot be used. */
  load(): void {
    const { path } = this.#options;
    try {
      this.#version = versionOf(path);
      this.#apply(readClaims(path));
    } catch (cause) {
      throw new Error(`cannot use inventory file ${path}: ${errorChain(cause)}`, { cause });
    }
  }

  /** Looks every `intervalMs` whether the file has changed, until `close`. */
  watch(intervalMs: number): void {
    this.#timer = setInterval(() => this.refresh(), intervalMs);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Reads the file again if it has changed. */
  refresh(): void {
    const { path, log, failures } = this.#options;
    try {
      const version = versionOf(path);
      if (version === this.#version) return;
      this.#version = version;
      this.#apply(readClaims(path));
      log.info(`inventory file ${path} read again`);
    } catch (error) {
      // Said once per state of the file: a file that is away has a version of its own.
      const version = `unusable: ${errorChain(error)}`;
      if (version === this.#version) return;
      if (!isThere(path)) this.#version = version;
      failures.add(1);
      log.warn(`inventory file ${path} cannot be used, the former one stays: ${errorChain(error)}`);
    }
  }

  #apply(claims: readonly Claim[]): void {
    const { store, now } = this.#options;
    const keys = new Set<string>();
    const nowMs = now();
    claims.forEach((claim, index) => {
      const key = `${this.#prefix}${index}`;
      keys.add(key);
      store.set(key, claim, nowMs);
    });
    store.retain(this.#prefix, keys, nowMs);
  }
}

/** All claims of a file. Throws when any part of it cannot be understood: half an inventory names the wrong owners. */
export function readClaims(path: string): Claim[] {
  const { size } = statSync(path);
  if (size > fileBytesMax) throw new Error(`${size} bytes are too many`);
  const documents = documentsOf(readFileSync(path, 'utf8'));
  const reads = documents.map(readDocument);
  const problems = reads.flatMap((read) => read.problems);
  if (problems.length > 0) {
    const more =
      problems.length > problemsShown ? `, and ${problems.length - problemsShown} more` : '';
    throw new Error(`${problems.slice(0, problemsShown).join('; ')}${more}`);
  }
  return reads.flatMap((read) => read.claims);
}

function documentsOf(text: string): unknown[] {
  const start = text.trimStart()[0];
  if (start === '{' || start === '[') {
    try {
      return [JSON.parse(text) as unknown];
    } catch {
      // YAML's flow style looks like JSON, and its errors say where they are.
    }
  }
  const documents = parseAllDocuments(text, { prettyErrors: true });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => {
    const [error] = document.errors;
    if (error !== undefined) {
      throw new Error(error.message.split('\n')[0]);
    }
    return document.toJS() as unknown;
  });
}

function versionOf(path: string): string {
  const { mtimeMs, size, ino } = statSync(path);
  return `${mtimeMs} ${size} ${ino}`;
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
