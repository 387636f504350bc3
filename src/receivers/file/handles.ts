// Open files, within a limit: who was read longest ago is closed first and opened again when needed.

import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { Known } from './known.ts';
import type { Tailed } from './tailed.ts';
import type { Troubles } from './troubles.ts';

// Not blocking: opening a pipe would wait for a writer.
const flags = constants.O_RDONLY | constants.O_NONBLOCK;

/** When the process has no descriptors left, so many are given back. */
const closedAtOnce = 16;

export class Handles {
  readonly #limit: number;
  readonly #known: Known;
  readonly #troubles: Troubles;
  /** Files with a descriptor, the one used longest ago first. */
  readonly #open = new Set<Tailed>();

  constructor(limit: number, known: Known, troubles: Troubles) {
    this.#limit = limit;
    this.#known = known;
    this.#troubles = troubles;
  }

  get count(): number {
    return this.#open.size;
  }

  /** A descriptor for looking, which the caller closes or adopts. Throws what opening throws. */
  look(path: string): number {
    let fd: number;
    try {
      fd = openSync(path, flags);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== 'EMFILE' && code !== 'ENFILE') || !this.#closeIdle(closedAtOnce)) throw error;
      fd = openSync(path, flags);
    }
    this.#troubles.opened();
    return fd;
  }

  /** The file keeps this descriptor; when there is no room and nothing to read, it is closed. */
  adopt(file: Tailed, fd: number): void {
    file.fd = fd;
    this.#open.add(file);
    if (this.#open.size > this.#limit && !this.#closeIdle(1)) {
      if (file.state === 'live' && !file.reading) this.close(file);
    }
  }

  /** Marks the file as used. True when it is open or could be opened and is still the file it was. */
  use(file: Tailed): boolean {
    if (file.fd !== undefined) {
      this.#open.delete(file);
      this.#open.add(file);
      return true;
    }
    if (file.state !== 'live') return false;
    if (this.#open.size >= this.#limit && !this.#closeIdle(1)) return false;
    const fd = this.look(file.path);
    const stats = fstatSync(fd, { bigint: true });
    if (stats.ino !== file.ino || stats.dev !== file.dev) {
      closeSync(fd);
      return false;
    }
    file.fd = fd;
    this.#open.add(file);
    return true;
  }

  /** Hands the descriptor of a file over to its next generation. */
  pass(from: Tailed, to: Tailed): void {
    to.fd = from.fd;
    from.fd = undefined;
    from.gzip?.close();
    from.gzip = undefined;
    if (this.#open.delete(from)) this.#open.add(to);
  }

  close(file: Tailed): void {
    this.#open.delete(file);
    file.gzip?.close();
    file.gzip = undefined;
    if (file.fd !== undefined) closeSync(file.fd);
    file.fd = undefined;
  }

  closeAll(): void {
    for (const file of [...this.#open]) this.close(file);
  }

  /** Closes up to `count` files that are not being read and that their path leads to. */
  #closeIdle(count: number): boolean {
    let closed = 0;
    for (const file of this.#open) {
      if (closed === count) break;
      if (file.reading || file.state !== 'live' || file.gzip !== undefined) continue;
      if (this.#known.live.get(file.path) !== file) continue;
      this.close(file);
      closed++;
    }
    return closed > 0;
  }
}
