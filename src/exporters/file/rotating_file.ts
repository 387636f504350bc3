// A file that is appended to, put aside when it is large or old, and never left with half a line.

import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, createZstdCompress } from 'node:zlib';
import type { Context } from '../../pipeline/component.ts';
import { ExportError, errorChain } from '../../pipeline/errors.ts';
import { makeFolder } from '../../pipeline/folder.ts';
import type { FileConfig, Sink } from './file.ts';

const fsyncIntervalMs = 1000;

export class RotatingFile implements Sink {
  readonly #config: FileConfig;
  readonly #context: Context;
  readonly #path: string;
  #file: FileHandle | undefined;
  #size = 0;
  #openedMs = 0;
  #dirty = false;
  #timer: NodeJS.Timeout | undefined;
  #first = true;
  #rotations = 0;
  #packing: Promise<void> = Promise.resolve();

  constructor(config: FileConfig, context: Context) {
    this.#config = config;
    this.#context = context;
    this.#path = isAbsolute(config.path)
      ? config.path
      : resolve(context.baseDirectory, config.path);
  }

  /** Opens the file, so that a wrong path is known at start. A full disk is not an error here. */
  async start(): Promise<void> {
    await this.#open();
    if (this.#config.fsync !== 'interval') return;
    this.#timer = setInterval(() => {
      if (!this.#dirty) return;
      this.#dirty = false;
      this.#file?.datasync().catch((error: unknown) => this.#context.log.warn(errorChain(error)));
    }, fsyncIntervalMs);
    this.#timer.unref();
  }

  async write(data: Buffer): Promise<void> {
    try {
      const file = await this.#ready(data.length);
      await this.#append(file, data);
      if (this.#config.fsync === 'always') await file.datasync();
      this.#dirty = true;
    } catch (error) {
      const failure = { retryable: true, cause: error };
      throw new ExportError(`cannot write to ${this.#path}`, failure);
    }
  }

  async reopen(): Promise<void> {
    const old = this.#file;
    this.#file = undefined;
    await old?.close();
    await this.#open();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#packing;
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    if (this.#config.fsync !== 'never') await file.datasync();
    await file.close();
  }

  async #open(): Promise<FileHandle> {
    await this.#makeFolder();
    const flags = this.#config.append || !this.#first ? 'a' : 'w';
    const file = await open(this.#path, flags, this.#config.mode);
    const { size, mtimeMs } = await file.stat();
    this.#file = file;
    this.#size = size;
    this.#openedMs = size > 0 && this.#first ? mtimeMs : this.#context.now();
    this.#first = false;
    return file;
  }

  async #makeFolder(): Promise<void> {
    const folder = dirname(this.#path);
    if (!this.#config.create_directory || !(await makeFolder(folder))) return;
    this.#context.log.info(`made the folder ${folder}`);
  }

  async #ready(bytes: number): Promise<FileHandle> {
    const { rotation } = this.#config;
    const file = this.#file ?? (await this.#open());
    if (rotation === undefined || this.#size === 0) return file;
    const tooLarge = this.#size + bytes > rotation.max_size;
    const tooOld = rotation.max_age > 0 && this.#context.now() - this.#openedMs >= rotation.max_age;
    if (!tooLarge && !tooOld) return file;
    await file.close();
    this.#file = undefined;
    await this.#putAside();
    return this.#open();
  }

  /** Appends all of the data or, on an error, cuts the file back to where it was. */
  async #append(file: FileHandle, data: Buffer): Promise<void> {
    let written = 0;
    try {
      while (written < data.length) {
        const { bytesWritten } = await file.write(data, written, data.length - written);
        written += bytesWritten;
      }
    } catch (error) {
      if (written > 0) await file.truncate(this.#size).catch(() => undefined);
      throw error;
    }
    this.#size += data.length;
  }

  async #putAside(): Promise<void> {
    const stamp = new Date(this.#context.now()).toISOString().replace(/[:.]/g, '-');
    // The count keeps two rotations of one millisecond apart.
    const aside = `${this.#path}.${stamp}.${this.#rotations++}`;
    await rename(this.#path, aside);
    this.#packing = this.#packing
      .then(() => this.#pack(aside))
      .then(() => this.#removeOldest())
      .catch((error: unknown) => {
        this.#context.log.warn(`cannot tidy up ${aside}: ${errorChain(error)}`);
      });
  }

  async #pack(path: string): Promise<void> {
    const compression = this.#config.rotation?.compression ?? 'none';
    if (compression === 'none') return;
    const packer = compression === 'gzip' ? createGzip() : createZstdCompress();
    const target = `${path}.${compression === 'gzip' ? 'gz' : 'zst'}`;
    await pipeline(createReadStream(path), packer, createWriteStream(`${target}.tmp`));
    await rename(`${target}.tmp`, target);
    await unlink(path);
  }

  async #removeOldest(): Promise<void> {
    const keep = this.#config.rotation?.max_backups ?? 0;
    if (keep === 0) return;
    const prefix = `${basename(this.#path)}.`;
    const folder = dirname(this.#path);
    const aside = (await readdir(folder))
      .filter((name) => name.startsWith(prefix) && /\.\d{4}-\d\d-\d\dT/.test(name))
      .sort();
    for (const name of aside.slice(0, Math.max(0, aside.length - keep))) {
      await unlink(join(folder, name));
    }
  }
}
