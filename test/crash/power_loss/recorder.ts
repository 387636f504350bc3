// Loaded before a program (`node --import`): keeps everything that it does to the files under POWER_LOSS_FOLDER, by
// standing in front of node:fs. `disk.ts` checks that nothing went past it.

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { serialize } from 'node:v8';
import { type FileEvent, publishRecording } from './events.ts';

const folder = resolve(process.env['POWER_LOSS_FOLDER'] ?? '');
const events: FileEvent[] = [];
let operations = 0;
let files = 0;
/** Names to files as they are now, and what descriptors stand for: a file, or a folder's path. */
const named = new Map<string, number>();
const opened = new Map<number, { file: number; at: number; isSynced: boolean } | string>();

type Any = (...args: never[]) => unknown;
type Call = (...args: unknown[]) => unknown;

/** The recorded program's files; the lock is SQLite's, and empty. */
const isOurs = (path: unknown): path is string =>
  typeof path === 'string' && dirname(resolve(path)) === folder && basename(path) !== 'lock';

for (const name of fs.readdirSync(folder)) {
  const path = join(folder, name);
  if (!isOurs(path)) continue;
  const file = ++files;
  named.set(path, file);
  events.push({ kind: 'base', file, path, data: fs.readFileSync(path) });
}

/** Does it, and says when it began and when it was done. What fails is taken to be half done for ever. */
function during<T>(event: (op: number) => FileEvent, work: () => T): T {
  const op = ++operations;
  events.push(event(op));
  const done = (): void => void events.push({ kind: 'end', op });
  const result = work();
  if (result instanceof Promise) void result.then(done, () => undefined);
  else done();
  return result;
}

const numericFlags = (flags: unknown): number =>
  typeof flags === 'number' ? flags : /s/.test(String(flags)) ? fs.constants.O_SYNC : 0;

/** After a successful open. `was`: whether there was such a file before. */
function didOpen(fd: number, path: string, how: { flags: unknown; was: boolean }): void {
  if (resolve(path) === folder) opened.set(fd, folder);
  if (!isOurs(path)) return;
  let file = named.get(resolve(path));
  if (file === undefined || !how.was) {
    file = ++files;
    named.set(resolve(path), file);
    const made = { kind: 'create', op: ++operations, file, path: resolve(path) } as const;
    events.push(made, { kind: 'end', op: made.op });
  } else if (String(how.flags).startsWith('w')) {
    events.push({ kind: 'truncate', op: ++operations, file, size: 0 });
    events.push({ kind: 'end', op: operations });
  }
  opened.set(fd, { file, at: 0, isSynced: (numericFlags(how.flags) & fs.constants.O_DSYNC) !== 0 });
}

function bytesOf(data: unknown, offset = 0, length?: number): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  const view = data as Uint8Array;
  const end = length === undefined ? view.byteLength : offset + length;
  return Buffer.from(
    Buffer.from(view.buffer, view.byteOffset, view.byteLength).subarray(offset, end),
  );
}

/** One write of some pieces. `position` null or undefined: where the last one ended. */
function wrote<T>(fd: number, write: { data: Buffer; position: unknown }, work: () => T): T {
  const target = opened.get(fd);
  if (target === undefined || typeof target === 'string') return work();
  const { data } = write;
  const offset = typeof write.position === 'number' ? write.position : target.at;
  if (typeof write.position !== 'number') target.at += data.length;
  const { file } = target;
  const result = during((op) => ({ kind: 'write', op, file, offset, data }), work);
  if (target.isSynced)
    during(
      (op) => ({ kind: 'sync', op, file }),
      () => result,
    );
  return result;
}

type WriteOptions = { offset?: number; length?: number; position?: number | null };

/** The arguments behind the data of write and writeSync. */
function writeOf(data: unknown, rest: readonly unknown[]): { data: Buffer; position: unknown } {
  const [first, second, third] = rest;
  if (typeof data === 'string') return { data: bytesOf(data), position: first };
  if (typeof first === 'object' && first !== null) {
    const { offset, length, position } = first as WriteOptions;
    return { data: bytesOf(data, offset ?? 0, length), position };
  }
  const offset = typeof first === 'number' ? first : 0;
  const length = typeof second === 'number' ? second : undefined;
  return { data: bytesOf(data, offset, length), position: third };
}

const pieces = (buffers: readonly Uint8Array[]): Buffer =>
  Buffer.concat(buffers.map((b) => bytesOf(b)));

function synced<T>(fd: number, work: () => T): T {
  const target = opened.get(fd);
  if (target === undefined) return work();
  if (typeof target === 'string')
    return during((op) => ({ kind: 'sync_folder', op, path: target }), work);
  return during((op) => ({ kind: 'sync', op, file: target.file }), work);
}

function truncated<T>(fd: number, size: unknown, work: () => T): T {
  const target = opened.get(fd);
  if (target === undefined || typeof target === 'string') return work();
  const { file } = target;
  return during((op) => ({ kind: 'truncate', op, file, size: Number(size ?? 0) }), work);
}

function unlinked<T>(path: unknown, work: () => T): T {
  if (!isOurs(path)) return work();
  named.delete(resolve(path));
  return during((op) => ({ kind: 'unlink', op, path: resolve(path) }), work);
}

function renamed<T>(from: unknown, to: unknown, work: () => T): T {
  if (!isOurs(from) || !isOurs(to)) return work();
  const file = named.get(resolve(from));
  named.delete(resolve(from));
  if (file !== undefined) named.set(resolve(to), file);
  return during((op) => ({ kind: 'rename', op, from: resolve(from), to: resolve(to) }), work);
}

/** Puts `stand(original)` in front of a function. */
function replace(on: object, name: string, stand: (original: Call) => Call): void {
  const functions = on as Record<string, Any>;
  const original = functions[name] as Call;
  functions[name] = stand((...args) => original.apply(on, args)) as Any;
}

replace(fs, 'openSync', (original) => (path, flags, mode) => {
  const was = typeof path === 'string' && fs.existsSync(path);
  const fd = original(path, flags, mode) as number;
  didOpen(fd, String(path), { flags, was });
  return fd;
});
replace(
  fs,
  'writeSync',
  (original) =>
    (fd, data, ...rest) =>
      wrote(fd as number, writeOf(data, rest), () => original(fd, data, ...rest)),
);
replace(
  fs,
  'writevSync',
  (original) => (fd, buffers, position) =>
    wrote(fd as number, { data: pieces(buffers as Uint8Array[]), position }, () =>
      original(fd, buffers, position),
    ),
);
for (const name of ['fsyncSync', 'fdatasyncSync']) {
  replace(fs, name, (original) => (fd) => synced(fd as number, () => original(fd)));
}
replace(fs, 'fdatasync', (original) => (fd, callback) => {
  const done = callback as (error: unknown) => void;
  const forced = (): Promise<void> =>
    new Promise((resolve, reject) =>
      original(fd, (error: unknown) => (error ? reject(error) : resolve())),
    );
  return synced(fd as number, forced).then(() => done(null), done);
});
replace(
  fs,
  'ftruncateSync',
  (original) => (fd, size) => truncated(fd as number, size, () => original(fd, size)),
);
replace(fs, 'closeSync', (original) => (fd) => {
  opened.delete(fd as number);
  return original(fd);
});
for (const on of [fs, fs.promises]) {
  const suffix = on === fs ? 'Sync' : '';
  for (const name of ['unlink', 'rm']) {
    replace(
      on,
      `${name}${suffix}`,
      (original) =>
        (path, ...rest) =>
          unlinked(path, () => original(path, ...rest)),
    );
  }
  replace(
    on,
    `rename${suffix}`,
    (original) => (from, to) => renamed(from, to, () => original(from, to)),
  );
}

/** What callbacks are given to is not recorded; the check in disk.ts finds out. */
const probe = await fs.promises.open(process.execPath, 'r');
const handles = Object.getPrototypeOf(probe) as Record<string, Any>;
await probe.close();

type Handle = { readonly fd: number };
function replaceMethod(name: string, stand: (handle: Handle, original: Call) => Call): void {
  const original = handles[name] as Call;
  handles[name] = function (this: Handle, ...args: unknown[]) {
    return stand(this, (...inner) => original.apply(this, inner))(...args);
  } as Any;
}

replace(fs.promises, 'open', (original) => async (path, flags, mode) => {
  const was = typeof path === 'string' && fs.existsSync(path);
  const handle = (await original(path, flags, mode)) as Handle;
  didOpen(handle.fd, String(path), { flags, was });
  return handle;
});
replaceMethod(
  'write',
  ({ fd }, original) =>
    (data, ...rest) =>
      wrote(fd, writeOf(data, rest), () => original(data, ...rest)),
);
replaceMethod(
  'writev',
  ({ fd }, original) =>
    (buffers, position) =>
      wrote(fd, { data: pieces(buffers as Uint8Array[]), position }, () =>
        original(buffers, position),
      ),
);
for (const name of ['sync', 'datasync']) {
  replaceMethod(
    name,
    ({ fd }, original) =>
      () =>
        synced(fd, () => original()),
  );
}
replaceMethod(
  'truncate',
  ({ fd }, original) =>
    (size) =>
      truncated(fd, size, () => original(size)),
);
replaceMethod('close', ({ fd }, original) => () => {
  opened.delete(fd);
  return original();
});
syncBuiltinESMExports();

publishRecording({ events, mark: (what, id) => void events.push({ kind: 'mark', what, id }) });
const log = process.env['POWER_LOSS_LOG'];
const write = fs.writeFileSync;
process.on('exit', () => {
  if (log !== undefined) write(log, serialize(events));
});
