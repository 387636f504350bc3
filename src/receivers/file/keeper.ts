// Keeps the places in files where they outlast the process. While that is impossible (a volume that is read-only, full,
// or somebody else's) they are kept in memory, which is said, and it is tried again.

import { accessSync, constants, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Context } from '../../pipeline/component.ts';
import { errorChain, isVolumeTrouble } from '../../pipeline/errors.ts';
import {
  type Checkpoint,
  type CheckpointStore,
  createCheckpoints,
  type Opened,
  openCheckpoints,
  readCheckpoints,
} from './checkpoints.ts';
import type { Known } from './known.ts';
import { Tailed } from './tailed.ts';

/** How often a volume that could not be written is tried again. */
const againMs = 2000;
const inMemory =
  'checkpoints are kept in memory only, after a restart lines come twice or are missed';
const late = 'checkpoints cannot be written, after a restart lines come twice';

/** What was known before: nothing; everything; something that cannot be read any more. */
export type Found = Opened['state'];

export class Keeper {
  readonly #context: Context;
  readonly #known: Known;
  /** Undefined: there is no state directory. */
  readonly #path: string | undefined;
  #store: CheckpointStore | undefined;
  #tryAgainMs = 0;

  constructor(context: Context, known: Known) {
    const { stateDirectory, id } = context;
    this.#context = context;
    this.#known = known;
    if (stateDirectory !== undefined) {
      this.#path = join(stateDirectory, `${encodeURIComponent(id)}.checkpoints.db`);
    }
  }

  /** Restores what is known. Throws only what a person has to solve: another process has the state. */
  open(): Found {
    const path = this.#path;
    if (path === undefined) return 'new';
    let opened: Pick<Opened, 'checkpoints' | 'state' | 'problem'>;
    try {
      checkWritable(path);
      const found = openCheckpoints(path, this.#context.now());
      this.#store = found.store;
      opened = found;
    } catch (error) {
      if (!isVolumeTrouble(error)) throw error;
      this.#begin(inMemory, error);
      opened = readOnly(path);
    }
    for (const point of opened.checkpoints) this.#known.restore(Tailed.restore(point));
    if (opened.state === 'damaged') {
      this.#context.log.error(
        `the checkpoints in ${path} cannot be used: ${opened.problem}; every file is read from its beginning, so that lines may come twice but none is missed`,
      );
    }
    return opened.state;
  }

  /** Whether something is to be written that is not. */
  get hasWork(): boolean {
    const { dirty, removed } = this.#known;
    const isMissing = this.#path !== undefined && this.#store === undefined;
    return isMissing || dirty.size > 0 || removed.length > 0;
  }

  /** Writes what has changed since. When that is not possible it is tried again later: meanwhile nothing is lost. */
  save(): void {
    const { dirty, removed } = this.#known;
    if (this.#path === undefined) {
      dirty.clear();
      removed.length = 0;
      return;
    }
    if (this.#store === undefined) return this.#openAgain(this.#path);
    if (dirty.size === 0 && removed.length === 0) return;
    try {
      this.#store.save(checkpointsOf(dirty), removed);
      dirty.clear();
      removed.length = 0;
      this.#context.degraded.end(late);
    } catch (error) {
      this.#begin(late, error);
    }
  }

  close(): void {
    this.#store?.close();
    this.#context.degraded.leave();
  }

  #begin(what: string, error: unknown): void {
    this.#tryAgainMs = this.#context.now() + againMs;
    this.#context.degraded.begin(what, errorChain(error));
  }

  /** What is known here is newer than anything that may be there. */
  #openAgain(path: string): void {
    if (this.#context.now() < this.#tryAgainMs) return;
    const { live, gone, lost, dirty, removed } = this.#known;
    try {
      checkWritable(path);
      // Not while another process has it.
      openCheckpoints(path, this.#context.now()).store.close();
      this.#store = createCheckpoints(path, checkpointsOf([...live.values(), ...gone, ...lost]));
      dirty.clear();
      removed.length = 0;
      this.#context.degraded.end(inMemory);
    } catch (error) {
      this.#begin(inMemory, error);
    }
  }
}

const checkpointsOf = (files: Iterable<Tailed>): Checkpoint[] =>
  Array.from(files, (file) => file.checkpoint());

/** Throws the file system's own error: SQLite's would not say why, or take it for another process's lock. */
function checkWritable(path: string): void {
  const folder = dirname(path);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  accessSync(folder, constants.W_OK | constants.X_OK);
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) {
    accessSync(path, constants.R_OK | constants.W_OK);
  }
}

/** What can be known of a state that cannot be written. One that may exist and cannot be read counts as damaged. */
function readOnly(path: string): Pick<Opened, 'checkpoints' | 'state' | 'problem'> {
  try {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      return { checkpoints: [], state: 'new', problem: undefined };
    }
    const checkpoints = readCheckpoints(path);
    const state = checkpoints === undefined ? 'new' : 'kept';
    return { checkpoints: checkpoints ?? [], state, problem: undefined };
  } catch (error) {
    return { checkpoints: [], state: 'damaged', problem: errorChain(error) };
  }
}
