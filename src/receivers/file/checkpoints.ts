// How far each file has been acknowledged, kept in SQLite so that it survives the process.
//
// SQLite's write-ahead log with `synchronous = normal` loses nothing when the process dies and at most the last
// transactions when the power fails: then lines are read again, none is skipped. The database is held exclusively, so
// that two processes never follow the same files on one state.

import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { errorChain } from '../../pipeline/errors.ts';
import { faultPoint } from '../../pipeline/fault.ts';

export type Checkpoint = {
  /** The row; one for each generation of a file. */
  key: number;
  /** The stable id of the generation; empty until something was read. */
  id: string;
  path: string;
  dev: bigint;
  ino: bigint;
  /** How often this inode has begun anew. */
  generation: number;
  /** Everything before this byte is acknowledged. */
  offset: number;
  /** The bytes before `offset`, to recognise the place. */
  tail: Uint8Array;
  fingerprintBytes: number;
  fingerprint: string;
  /** `offset` is inside a line whose rest is not wanted. */
  skipping: boolean;
  /** A gzip file: `offset` counts the bytes inside. */
  compressed: boolean;
  /** Read to its end, and gone or compressed. */
  finished: boolean;
  /** Its inode has begun anew since: only a copy can be it. */
  emptied: boolean;
  /** When it was last followed. */
  seenMs: number;
};

const version = 1;
/** Kept in the database's header with the first checkpoints: before that, `start_at` has not been applied. */
const lookedAround = 1;

export type Opened = {
  readonly store: CheckpointStore;
  readonly checkpoints: readonly Checkpoint[];
  /** `new`: there was no state. `damaged`: there was, but it could not be read; it has been put aside. */
  readonly state: 'new' | 'kept' | 'damaged';
  /** Why it is damaged and where it is now. */
  readonly problem: string | undefined;
};

/** Opens the checkpoints in the file `path`. Throws only what a person has to solve: no right to write, in use. */
export function openCheckpoints(path: string, nowMs: number): Opened {
  if (!existsSync(path)) {
    return { store: createCheckpoints(path), checkpoints: [], state: 'new', problem: undefined };
  }
  let store: CheckpointStore | undefined;
  try {
    store = new CheckpointStore(path);
    const checkpoints = store.load();
    const state = checkpoints === undefined ? 'new' : 'kept';
    return { store, checkpoints: checkpoints ?? [], state, problem: undefined };
  } catch (error) {
    store?.close();
    if (isBusy(error)) throw inUse(path, error);
    if (isUnwritable(error)) throw error;
    const aside = putAside(path, nowMs);
    const problem = `${errorChain(error)}; it was put aside as ${aside}`;
    return { store: createCheckpoints(path), checkpoints: [], state: 'damaged', problem };
  }
}

/**
 * The checkpoints in the file `path` as far as they are, of a volume that may be read-only. Without a lock: nobody writes
 * there. Undefined and errors as in `load`.
 */
export function readCheckpoints(path: string): Checkpoint[] | undefined {
  const url = pathToFileURL(path);
  url.searchParams.set('vfs', 'unix-none');
  const database = new DatabaseSync(url, { readOnly: true });
  try {
    database.exec('pragma locking_mode = exclusive');
    return load(database);
  } finally {
    database.close();
  }
}

/**
 * Makes the database, with what is in it, under another name first: one that is there but empty was emptied by somebody
 * else. Replaces one that is there. With checkpoints the state counts as kept.
 */
export function createCheckpoints(
  path: string,
  checkpoints?: readonly Checkpoint[],
): CheckpointStore {
  const draft = `${path}.new`;
  const remove = (...names: string[]): void => {
    for (const name of names) rmSync(name, { force: true });
  };
  try {
    mkdirSync(dirname(path), { recursive: true });
    remove(draft, `${draft}-wal`, `${draft}-shm`);
    const made = new CheckpointStore(draft);
    try {
      made.create();
      if (checkpoints !== undefined) made.save(checkpoints, []);
    } finally {
      made.close();
    }
    remove(`${path}-wal`, `${path}-shm`);
    renameSync(draft, path);
    return new CheckpointStore(path);
  } catch (error) {
    throw new Error(`cannot keep checkpoints in ${JSON.stringify(path)}`, { cause: error });
  }
}

function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode;
  return code !== undefined && ((code & 0xff) === 5 || (code & 0xff) === 6);
}

/** SQLite has no right to write, or no room: READONLY, FULL, CANTOPEN. */
function isUnwritable(error: unknown): boolean {
  return [8, 13, 14].includes(((error as { errcode?: number }).errcode ?? 0) & 0xff);
}

const inUse = (path: string, cause: unknown): Error =>
  new Error(`cannot open checkpoints ${JSON.stringify(path)}: another receiver is using them`, {
    cause,
  });

function putAside(path: string, nowMs: number): string {
  const aside = `${path}.damaged-${new Date(nowMs).toISOString().replace(/[:.]/g, '-')}`;
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}

/** The database. Every method may throw what SQLite throws. */
export class CheckpointStore {
  readonly #database: DatabaseSync;
  #upsert: StatementSync | undefined;
  #saved = false;
  #remove: StatementSync | undefined;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 0 });
    this.#database.exec(
      'pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = normal',
    );
  }

  create(): void {
    this.#database.exec(`
      create table file (
        key integer primary key, id text not null, path text not null, dev text not null,
        ino text not null, generation integer not null, offset integer not null, tail blob not null,
        fingerprint_bytes integer not null, fingerprint text not null,
        skipping integer not null, compressed integer not null,
        finished integer not null, emptied integer not null, seen_ms integer not null
      ) strict;
      pragma user_version = ${version}`);
  }

  load(): Checkpoint[] | undefined {
    return load(this.#database);
  }

  /** Writes and removes all or nothing. From then on the state counts as kept. */
  save(changed: readonly Checkpoint[], removed: readonly number[]): void {
    this.#upsert ??= this.#database.prepare(
      'insert or replace into file values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#remove ??= this.#database.prepare('delete from file where key = ?');
    faultPoint('before_file_checkpoint');
    this.#database.exec('begin');
    try {
      for (const point of changed) this.#write(this.#upsert, point);
      for (const key of removed) this.#remove.run(key);
      if (!this.#saved) this.#database.exec(`pragma application_id = ${lookedAround}`);
      faultPoint('inside_file_checkpoint');
      this.#database.exec('commit');
      faultPoint('after_file_checkpoint');
      this.#saved = true;
    } catch (error) {
      // After some failures (a full disk) SQLite has rolled back by itself.
      if (this.#database.isTransaction) this.#database.exec('rollback');
      throw error;
    }
  }

  #write(statement: StatementSync, point: Checkpoint): void {
    statement.run(
      point.key,
      point.id,
      point.path,
      String(point.dev),
      String(point.ino),
      point.generation,
      point.offset,
      point.tail,
      point.fingerprintBytes,
      point.fingerprint,
      Number(point.skipping),
      Number(point.compressed),
      Number(point.finished),
      Number(point.emptied),
      Math.round(point.seenMs),
    );
  }

  close(): void {
    this.#database.close();
  }
}

/**
 * All checkpoints; undefined when the first look at the files was never saved. Throws when this is not a complete
 * database of ours.
 */
function load(database: DatabaseSync): Checkpoint[] | undefined {
  const pragma = (name: string): unknown => database.prepare(`pragma ${name}`).get()?.[name];
  const found = pragma('user_version');
  if (found !== version) {
    throw new Error(`expected checkpoints of version ${version}, found version ${found}`);
  }
  const check = pragma('quick_check');
  if (check !== 'ok') throw new Error(String(check).replaceAll('\n', ' '));
  if (pragma('application_id') !== lookedAround) return undefined;
  return database.prepare('select * from file').all().map(fromRow);
}

function fromRow(row: Record<string, unknown>): Checkpoint {
  return {
    key: Number(row['key']),
    id: String(row['id']),
    path: String(row['path']),
    dev: BigInt(String(row['dev'])),
    ino: BigInt(String(row['ino'])),
    generation: Number(row['generation']),
    offset: Number(row['offset']),
    tail: row['tail'] as Uint8Array,
    fingerprintBytes: Number(row['fingerprint_bytes']),
    fingerprint: String(row['fingerprint']),
    skipping: row['skipping'] !== 0,
    compressed: row['compressed'] !== 0,
    finished: row['finished'] !== 0,
    emptied: row['emptied'] !== 0,
    seenMs: Number(row['seen_ms']),
  };
}
