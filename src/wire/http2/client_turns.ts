// Streams of one connection of a client: those that are open, and those whose turn has not come, because the peer says
// how many may be open.

import type { ClientStream } from './client_stream.ts';

const lastId = 2 ** 31 - 1;

export class ClientTurns {
  readonly open = new Map<number, ClientStream>();
  readonly #waiting = new Set<ClientStream>();
  #nextId: number;

  constructor(firstId: number) {
    this.#nextId = firstId;
  }

  get isEmpty(): boolean {
    return this.open.size === 0 && this.#waiting.size === 0;
  }

  /** Whether nobody waits for an answer. */
  get isOver(): boolean {
    if (this.#waiting.size > 0) return false;
    for (const stream of this.open.values()) if (!stream.isRefused) return false;
    return true;
  }

  /** Whether no further stream can have a number. */
  get isUsedUp(): boolean {
    return this.#nextId > lastId;
  }

  /** Whether a stream of ours may have had this number. 0 is the connection. */
  hasOpened(id: number): boolean {
    return id < this.#nextId;
  }

  wait(stream: ClientStream): void {
    this.#waiting.add(stream);
  }

  /** Opens the stream that has waited longest. Undefined: none waits, or too many are open. */
  next(openMax: number): ClientStream | undefined {
    if (this.open.size >= openMax || this.isUsedUp) return undefined;
    for (const stream of this.#waiting) {
      this.#waiting.delete(stream);
      stream.id = this.#nextId;
      this.#nextId += 2;
      this.open.set(stream.id, stream);
      return stream;
    }
    return undefined;
  }

  /** True: the stream was open. */
  delete(stream: ClientStream): boolean {
    this.#waiting.delete(stream);
    return this.open.delete(stream.id);
  }

  /** Takes those out that wait. */
  takeWaiting(): ClientStream[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    return waiting;
  }

  /** Those that are open and have a number above this one. */
  above(id: number): ClientStream[] {
    return [...this.open.values()].filter((stream) => stream.id > id);
  }
}
